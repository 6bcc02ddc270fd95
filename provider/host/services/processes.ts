import { addAbortSignal } from "node:stream";
import { isSandboxesError } from "../../client/errors";
import type { GuestAgent } from "../vm/guestAgent";
import { answeredByGuest } from "./guestLimit";
import { collectOutput } from "./outputLimit";
import type { SandboxService } from "./sandboxes";

/** The guest decides what is in its files, and how many processes it has. */
const limits = { processes: 1024, fileBytes: 4096, atOnce: 32 };
/** Of Linux, on every machine that this runs on. */
const ticksPerSecond = 100;
const pageBytes = 4096;

export interface GuestProcessView {
  pid: number;
  parentPid: number;
  name: string;
  /** Empty for a thread of the kernel. */
  command: string[];
  /** As `ps` says it: R, S, D, T, Z, … */
  state: string;
  user: number;
  threads: number;
  memoryBytes: number;
  cpuSeconds: number;
  /** Since the machine's start. */
  startedAtSecs: number;
}

/** Processes in sandboxes, as their guests say: read from files, without starting a program. */
export class ProcessService {
  readonly #sandboxes: Pick<SandboxService, "observed">;

  constructor(parts: { sandboxes: Pick<SandboxService, "observed"> }) {
    this.#sandboxes = parts.sandboxes;
  }

  /** By their numbers, at most 1024. Throws `NotRunning`. Looking is no use of a sandbox. */
  async list(groupKey: string, id: string): Promise<GuestProcessView[]> {
    const { record, vm } = this.#sandboxes.observed(groupKey, id);
    return answeredByGuest(record.id, (signal) => listProcesses(vm.agent, signal));
  }
}

async function listProcesses(agent: GuestAgent, signal: AbortSignal): Promise<GuestProcessView[]> {
  const pids = (await agent.list("/proc", { signal }))
    .filter(({ name }) => /^[1-9][0-9]{0,9}$/.test(name))
    .map(({ name, uid }) => ({ pid: Number(name), uid }))
    .sort((one, other) => one.pid - other.pid)
    .slice(0, limits.processes);
  const found: GuestProcessView[] = [];
  for (let from = 0; from < pids.length; from += limits.atOnce) {
    const some = pids.slice(from, from + limits.atOnce).map(({ pid, uid }) => readProcess(agent, pid, uid, signal));
    for (const process of await Promise.all(some)) if (process) found.push(process);
  }
  return found;
}

/** Undefined for one that ended meanwhile. */
async function readProcess(
  agent: GuestAgent,
  pid: number,
  user: number,
  signal: AbortSignal,
): Promise<GuestProcessView | undefined> {
  const read = async (name: string) => {
    const content = await agent.readFile(`/proc/${pid}/${name}`, { length: limits.fileBytes, signal });
    return (await collectOutput(addAbortSignal(signal, content), limits.fileBytes)).text;
  };
  try {
    const [stat, commandLine] = await Promise.all([read("stat"), read("cmdline")]);
    return { ...parseStat(pid, stat), command: commandLine.split("\0").slice(0, -1), user };
  } catch (error) {
    signal.throwIfAborted();
    if (isSandboxesError(error) && error.code !== "GuestFailed") return undefined;
    throw error;
  }
}

/** https://man7.org/linux/man-pages/man5/proc_pid_stat.5.html; the name may hold anything, also parentheses. */
function parseStat(pid: number, stat: string): Omit<GuestProcessView, "command" | "user"> {
  const name = stat.slice(stat.indexOf("(") + 1, stat.lastIndexOf(")"));
  const fields = stat
    .slice(stat.lastIndexOf(")") + 2)
    .trim()
    .split(" ");
  /** Numbered as the manual does. */
  const number = (field: number) => Number(fields[field - 3] ?? 0) || 0;
  return {
    ...{ pid, parentPid: number(4), name, state: fields[0] ?? "?", threads: number(20) },
    ...{ memoryBytes: number(24) * pageBytes, cpuSeconds: (number(14) + number(15)) / ticksPerSecond },
    startedAtSecs: number(22) / ticksPerSecond,
  };
}
