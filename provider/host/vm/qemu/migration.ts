import { constants, type FileHandle, open } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { SandboxesError } from "../../../client/errors";
import { stateDescriptor } from "./machine";
import type { QemuProcess } from "./qemuProcess";

// Memory is in a file that source and clone share; only devices and CPUs are moved.
const capabilities = [
  { capability: "x-ignore-shared", state: true },
  { capability: "events", state: true },
];

/** Stops the VM and writes its devices and CPUs to `path`; the VM is of no use afterwards. */
export async function saveState(qemu: QemuProcess, path: string): Promise<void> {
  await qemu.qmp.execute("migrate-set-capabilities", { capabilities });
  const completed = migrationEnd(qemu);
  // Rejections are met where it is awaited.
  completed.catch(() => undefined);
  const name = "state.sock";
  const directory = await open(qemu.directory, constants.O_RDONLY | constants.O_DIRECTORY);
  const server = createServer();
  try {
    const connected = acceptOne(server, directory, name);
    await connected.listening;
    // Relative to QEMU's working directory, whose path may be longer than a socket's can.
    await qemu.qmp.execute("migrate", { uri: `unix:${name}` });
    // A migration that fails before it connects would leave us waiting.
    const socket = await Promise.race([connected.socket, completed.then(() => connected.socket)]);
    const file = await open(path, "wx", 0o600);
    await Promise.all([pipeline(socket, file.createWriteStream()), completed]);
  } finally {
    server.close();
    await directory.close();
  }
}

/** Loads the state that QEMU has open as `stateDescriptor`; the VM is stopped afterwards. */
export async function loadState(qemu: QemuProcess): Promise<void> {
  // All at once: QEMU reads them while it starts.
  const completed = migrationEnd(qemu);
  const prepared = qemu.qmp.execute("migrate-set-capabilities", { capabilities });
  const begun = qemu.qmp.execute("migrate-incoming", { uri: `fd:${stateDescriptor}` });
  await Promise.all([prepared, begun, completed]);
}

async function migrationEnd(qemu: QemuProcess): Promise<void> {
  const ended = new Set(["completed", "failed"]);
  let status = "";
  await qemu.qmp.waitFor("MIGRATION", (data) => {
    status = String(data.status);
    return ended.has(status);
  });
  if (status === "failed") throw new SandboxesError("Internal", "QEMU could not save or load the state of the machine");
}

function acceptOne(
  server: Server,
  directory: FileHandle,
  name: string,
): { listening: Promise<void>; socket: Promise<Socket> } {
  const socket = new Promise<Socket>((resolve) => server.once("connection", resolve));
  const listening = new Promise<void>((resolve, reject) => {
    server.once("error", reject);
    server.listen(`/proc/self/fd/${directory.fd}/${name}`, resolve);
  });
  return { listening, socket };
}
