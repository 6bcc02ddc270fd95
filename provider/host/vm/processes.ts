import { readdir, readFile, readlink, realpath } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import * as z from "zod";
import { SandboxesError } from "../../client/errors";

/** Names a process for ever: pids are used again, and all numbers are after a reboot. */
export const processIdentity = z.object({
  pid: z.number().int().positive(),
  /** Clock ticks since boot, field 22 of /proc/PID/stat. */
  startTime: z.string(),
  bootId: z.string(),
});
export type ProcessIdentity = z.infer<typeof processIdentity>;

export async function identify(pid: number): Promise<ProcessIdentity | undefined> {
  const startTime = await startTimeOf(pid);
  return startTime === undefined ? undefined : { pid, startTime, bootId: await bootId() };
}

export async function isAlive(process: ProcessIdentity): Promise<boolean> {
  return (await startTimeOf(process.pid)) === process.startTime && (await bootId()) === process.bootId;
}

/** Ends the process with SIGKILL and waits until it is gone; does nothing to another process with its pid. */
export async function killAndWait(target: ProcessIdentity): Promise<void> {
  // A process with much memory takes its time to go; one that takes longer hangs in the kernel.
  const deadline = Date.now() + 20_000;
  for (let waitMs = 1; await isAlive(target); waitMs = Math.min(waitMs * 2, 50)) {
    if (Date.now() > deadline) throw new SandboxesError("Internal", `process ${target.pid} does not end`);
    signalProcess(target.pid);
    await delay(waitMs);
  }
}

/**
 * Processes of the programs `names` whose working directory is `directory`, or was before it was removed: their record
 * was lost, or never made.
 */
export async function processesIn(directory: string, names: string[]): Promise<ProcessIdentity[]> {
  // Its parent, for it may be gone itself.
  const parent = await realpath(dirname(directory)).catch(() => undefined);
  const folder = parent && join(parent, basename(directory));
  const found: ProcessIdentity[] = [];
  for (const pid of folder ? await readdir("/proc") : []) {
    if (!/^\d+$/.test(pid)) continue;
    // Other users' processes cannot be read, and others end while we look.
    const cwd = await readlink(`/proc/${pid}/cwd`).catch(() => undefined);
    if (cwd !== folder && cwd !== `${folder} (deleted)`) continue;
    const program = await readFile(`/proc/${pid}/comm`, "utf8").catch(() => "");
    const process = names.some((name) => program.startsWith(name)) ? await identify(Number(pid)) : undefined;
    if (process) found.push(process);
  }
  return found;
}

/** Undefined when there is no such process, or only its exit status is left. */
async function startTimeOf(pid: number): Promise<string | undefined> {
  const stat = await readFile(`/proc/${pid}/stat`, "latin1").catch(() => "");
  // The name, in parentheses, may hold spaces; state is the first field after it.
  const [state, ...fields] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  const isOver = state === "X" || (state === "Z" && !(await hasThreads(pid)));
  return isOver ? undefined : fields[18];
}

/** The first thread of a process may end before the others, which hold its memory, files and control groups. */
async function hasThreads(pid: number): Promise<boolean> {
  return (await readdir(`/proc/${pid}/task`).catch(() => [])).length > 1;
}

let knownBootId: string | undefined;

async function bootId(): Promise<string> {
  knownBootId ??= (await readFile("/proc/sys/kernel/random/boot_id", "utf8")).trim();
  return knownBootId;
}

function signalProcess(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "ESRCH") throw error;
  }
}
