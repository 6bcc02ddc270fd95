import { constants, type FileHandle, open, rm, writeFile } from "node:fs/promises";
import { createServer, type Server, type Socket } from "node:net";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import { SandboxesError } from "../../../client/errors";
import { stateDescriptor } from "./machine";
import type { QemuProcess } from "./qemuProcess";
import { splitMemory } from "./splitMemory";

// Memory is in a file: of a template as it is, of a saved VM by what `splitMemory` makes of the stream.
const capabilities = [
  { capability: "x-ignore-shared", state: true },
  { capability: "events", state: true },
];
const socketName = "state.sock";
/** Bytes per second; QEMU's own limit is 128 MiB. */
const unlimitedBandwidth = 2 ** 40;
/** QEMU that sends itself does so without a pause; on a host out of breath with one. */
const silenceLimitMs = 60_000;

/** Stops the VM and writes its devices and CPUs to `path`; the VM is of no use afterwards. */
export async function saveState(qemu: QemuProcess, path: string): Promise<void> {
  await migrate(qemu, async (socket) => {
    const file = await open(path, "wx", 0o600);
    await pipeline(socket, file.createWriteStream());
  });
}

/**
 * Writes what a paused VM is: its memory to one file, devices and CPUs to another, as `loadState` wants them beside a
 * copy-on-write mapping of the first. Both are on disk afterwards, and the VM can go on. Aborting it leaves a paused VM.
 */
export async function saveMachine(
  qemu: QemuProcess,
  paths: { ramPath: string; statePath: string },
  memoryBytes: number,
  signal: AbortSignal,
): Promise<void> {
  signal.throwIfAborted();
  await qemu.qmp.execute("migrate-set-parameters", { "max-bandwidth": unlimitedBandwidth });
  await using memory = await open(paths.ramPath, "wx", 0o600);
  await memory.truncate(memoryBytes);
  const cancel = (): void => {
    qemu.qmp.execute("migrate_cancel").catch(() => undefined); // It has ended, and so has QEMU.
  };
  signal.addEventListener("abort", cancel, { once: true });
  try {
    await migrate(qemu, async (socket) => {
      const state = await splitMemory(socket, memory, memoryBytes);
      await writeFile(paths.statePath, state, { flag: "wx", mode: 0o600, flush: true });
    });
    await memory.sync();
    signal.throwIfAborted();
  } catch (error) {
    signal.throwIfAborted();
    throw isFull(error) ? new SandboxesError("CapacityExceeded", "the host's disk is full", { cause: error }) : error;
  } finally {
    signal.removeEventListener("abort", cancel);
  }
}

/** Has QEMU send itself to `receive`; resolves when both are done, and leaves no migration under way. */
async function migrate(qemu: QemuProcess, receive: (socket: Socket) => Promise<void>): Promise<void> {
  await qemu.qmp.execute("migrate-set-capabilities", { capabilities });
  const completed = migrationEnd(qemu);
  // Rejections are met where it is awaited.
  completed.catch(() => undefined);
  const directory = await open(qemu.directory, constants.O_RDONLY | constants.O_DIRECTORY);
  const server = createServer();
  try {
    const connected = acceptOne(server, directory, socketName);
    await connected.listening;
    // Relative to QEMU's working directory, whose path may be longer than a socket's can.
    await qemu.qmp.execute("migrate", { uri: `unix:${socketName}` });
    // A migration that fails before it connects would leave us waiting.
    const socket = await Promise.race([connected.socket, completed.then(() => connected.socket)]);
    const silence = limitSilence(socket);
    try {
      await Promise.race([Promise.all([receive(socket), completed]), silence.broken]);
    } catch (error) {
      // What it cannot send any more fails; the VM may go on only after that.
      socket.destroy();
      // One that does nothing any more is given up by the answer that it does not give.
      await qemu.qmp.execute("migrate_cancel").catch(() => undefined);
      await completed.catch(() => undefined);
      throw error;
    } finally {
      silence.end();
    }
  } finally {
    server.close();
    await directory.close();
    await removeMigrationSocket(qemu.directory);
  }
}

/** Rejects once nothing has come for too long, until it is ended. */
function limitSilence(socket: Socket): { broken: Promise<never>; end(): void } {
  const { promise: broken, reject } = Promise.withResolvers<never>();
  let seen = -1;
  let timer: NodeJS.Timeout;
  const look = (): void => {
    if (socket.bytesRead === seen) reject(new SandboxesError("GuestFailed", "its virtual machine stood still"));
    seen = socket.bytesRead;
    timer = setTimeout(look, silenceLimitMs);
  };
  look();
  return { broken, end: () => clearTimeout(timer) };
}

/** Left by a process that ended while it saved. Repeatable. */
export async function removeMigrationSocket(directory: string): Promise<void> {
  await rm(join(directory, socketName), { force: true });
}

function isFull(error: unknown): boolean {
  return ["ENOSPC", "EDQUOT"].includes((error as NodeJS.ErrnoException).code ?? "");
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
  const ended = new Set(["completed", "failed", "cancelled"]);
  let status = "";
  await qemu.qmp.waitFor("MIGRATION", (data) => {
    status = String(data.status);
    return ended.has(status);
  });
  if (status !== "completed")
    throw new SandboxesError("Internal", "QEMU could not save or load the state of the machine");
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
