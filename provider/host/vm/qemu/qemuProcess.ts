import { mkdir, readFile, rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { SandboxesError } from "../../../client/errors";
import { identify, isAlive, killAndWait, type ProcessIdentity } from "../processes";
import { connectUnix } from "../unixSocket";
import { endProcessesIn, readRecord, removeVmDirectory as removeDirectory, writeRecord } from "../vmDirectory";
import { openQmp, type Qmp } from "./qmp";
import type { SpawnedProcess, Spawner, SpawnRequest } from "./spawner";

/** A QEMU and our ends of its two sockets. */
export interface QemuProcess {
  directory: string;
  identity: ProcessIdentity;
  qmp: Qmp;
  /** How it ended; never settles for a process that another host process started. */
  ended: Promise<string>;
  /** Opens the guest's channel; one at a time is served. */
  connectAgentSocket(signal?: AbortSignal): Promise<Socket>;
}

/** What may run in the directory of a VM: the second is the first before it has become it. */
const programs = ["qemu", "spawner"];
/** What a VM that runs has in its directory. The record goes last: it names the process. */
export const traces = ["agent.sock", "qmp.sock", "state.sock", "qemu.log", "vm.json.new", "vm.json"];
/** The spawner has to read what a process said before it ended. */
const lastWordsGraceMs = 1_000;

/** Starts QEMU in `directory`, which is made and left for the caller to remove. */
export async function startQemu(spawner: Spawner, request: SpawnRequest, signal?: AbortSignal): Promise<QemuProcess> {
  const { directory } = request;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  const { pid, ended } = await spawn(spawner, request);
  const identity = await identify(pid);
  if (!identity) {
    await Promise.race([ended, delay(lastWordsGraceMs)]);
    throw new SandboxesError("GuestFailed", `QEMU ended at once: ${await lastWords(directory)}`);
  }
  try {
    await writeRecord(directory, { process: identity, ready: false });
    return await connect(directory, identity, ended, signal);
  } catch (error) {
    await killAndWait(identity);
    throw error;
  }
}

/** Records that the VM can be adopted from now on. */
export async function markReady(qemu: QemuProcess): Promise<void> {
  await writeRecord(qemu.directory, { process: qemu.identity, ready: true });
}

/** Connects to a QEMU that an earlier process started; undefined when it is gone or was never ready. */
export async function findQemuProcess(directory: string, signal?: AbortSignal): Promise<QemuProcess | undefined> {
  const record = await readRecord(directory);
  if (!record?.ready || !(await isAlive(record.process))) return undefined;
  return connect(directory, record.process, new Promise(() => {}), signal);
}

/** Ends whatever runs in the directory and removes it. Repeatable. */
export async function removeVmDirectory(directory: string): Promise<void> {
  await removeDirectory(directory, programs);
}

/** Ends whatever runs in the directory and removes what a running VM has there, but none of its own files. Repeatable. */
export async function removeTraces(directory: string): Promise<void> {
  const record = await readRecord(directory);
  if (record) await killAndWait(record.process);
  else await endProcessesIn(directory, programs);
  for (const name of traces) await rm(join(directory, name), { force: true });
}

/** A spawner that is killed takes the requests it has not answered with it, but maybe not what it did for them. */
async function spawn(spawner: Spawner, request: SpawnRequest): Promise<SpawnedProcess> {
  try {
    return await spawner.spawn(request);
  } catch {
    // Told below if it happens again.
    await endProcessesIn(request.directory, programs);
    return spawner.spawn(request);
  }
}

/** The last lines that QEMU wrote, for a message. */
export async function lastWords(directory: string): Promise<string> {
  const log = await readFile(join(directory, "qemu.log"), "utf8").catch(() => "");
  return log.trim().split("\n").slice(-5).join("; ").slice(-600);
}

async function connect(
  directory: string,
  identity: ProcessIdentity,
  ended: Promise<string>,
  signal: AbortSignal | undefined,
): Promise<QemuProcess> {
  const qmp = openQmp(await reach(directory, "qmp.sock", signal));
  void qmp.execute("qmp_capabilities").catch(() => {
    // The command that follows meets the same end and tells it.
  });
  return {
    directory,
    identity,
    qmp,
    ended,
    connectAgentSocket: (agentSignal) => reach(directory, "agent.sock", agentSignal),
  };
}

/** Nobody listens any more on a socket of a QEMU that has ended. */
async function reach(directory: string, name: string, signal: AbortSignal | undefined): Promise<Socket> {
  try {
    return await connectUnix(directory, name, signal);
  } catch (error) {
    if (!["ECONNREFUSED", "ECONNRESET", "ENOENT"].includes((error as NodeJS.ErrnoException).code ?? "")) throw error;
    const why = ["QEMU ended", await lastWords(directory)].filter(Boolean).join(": ");
    throw new SandboxesError("GuestFailed", why, { cause: error });
  }
}
