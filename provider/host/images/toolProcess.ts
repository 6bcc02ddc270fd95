import { type ChildProcess, spawn } from "node:child_process";
import { finished } from "node:stream/promises";
import { SandboxesError } from "../../client/errors";

export interface ToolCommand {
  /** A program on PATH. */
  tool: string;
  args: string[];
  /** Whole environment of the program; this process's own unless given. */
  env?: NodeJS.ProcessEnv;
  cwd?: string;
  stdin?: "ignore" | "pipe";
  stdout?: "ignore" | "pipe";
  /** An open file that the program sees as descriptor 3. */
  fd3?: number;
  /** Run as nobody without capabilities where this process is root; it never regains privileges in any case. */
  leastPrivilege?: boolean;
  /** What it gets when this process dies; SIGKILL unless it has children to end. */
  deathSignal?: "SIGTERM" | "SIGKILL";
  /** What the tool writes to stderr, as it comes. */
  onStderr?: (text: string) => void;
  signal?: AbortSignal;
}

export interface ToolProcess {
  child: ChildProcess;
  /** Resolves at exit code 0, after all output; else rejects with what the tool said last. */
  done: Promise<void>;
  /** Ends the tool with everything it started. Repeatable. */
  kill(): void;
}

// Time for a tool to remove what it made before it is killed.
const graceMs = 5_000;
const stderrBytes = 16 * 1024;
const nobody = "65534";

/** Starts a tool in a process group of its own; it dies when `signal` aborts, and when this process dies. */
export function startTool(command: ToolCommand): ToolProcess {
  command.signal?.throwIfAborted();
  const wrapper = ["--pdeathsig", command.deathSignal ?? "SIGKILL"];
  if (command.leastPrivilege) {
    wrapper.push("--no-new-privs");
    if (process.getuid?.() === 0) {
      wrapper.push("--reuid", nobody, "--regid", nobody, "--clear-groups", "--inh-caps=-all", "--bounding-set=-all");
    }
  }
  const child = spawn("setpriv", [...wrapper, "--", command.tool, ...command.args], {
    detached: true,
    env: { ...(command.env ?? process.env), LC_ALL: "C" },
    ...(command.cwd !== undefined && { cwd: command.cwd }),
    stdio: [
      command.stdin ?? "ignore",
      command.stdout ?? "ignore",
      "pipe",
      ...(command.fd3 === undefined ? [] : [command.fd3]),
    ],
  });
  let killTimer: NodeJS.Timeout | undefined;
  const kill = () => {
    if (killTimer || child.exitCode !== null || child.signalCode !== null) return;
    killGroup(child, "SIGTERM");
    killTimer = setTimeout(() => killGroup(child, "SIGKILL"), graceMs);
  };
  command.signal?.addEventListener("abort", kill, { once: true });
  const done = ended(child, command).finally(() => {
    clearTimeout(killTimer);
    command.signal?.removeEventListener("abort", kill);
  });
  // Whoever waits sees the rejection; until then it is not unhandled.
  done.catch(() => undefined);
  return { child, done, kill };
}

/** Runs a tool and returns what it printed, up to `maxBytes`. */
export async function toolOutput(command: ToolCommand, maxBytes: number): Promise<Buffer> {
  const tool = startTool({ ...command, stdout: "pipe" });
  const parts: Buffer[] = [];
  let size = 0;
  for await (const part of tool.child.stdout ?? []) {
    size += part.length;
    if (size > maxBytes) {
      tool.kill();
      throw new ToolFailure(command.tool, `printed more than ${maxBytes} bytes`);
    }
    parts.push(part);
  }
  await tool.done;
  return Buffer.concat(parts);
}

/** A tool that failed; callers turn it into an error about what they were doing. */
export class ToolFailure extends SandboxesError {
  /** The end of what the tool wrote to stderr. */
  readonly stderr: string;

  constructor(tool: string, said: string) {
    super("Internal", `${tool} failed: ${said}`);
    this.stderr = said;
  }
}

async function ended(child: ChildProcess, { tool, signal, onStderr }: ToolCommand): Promise<void> {
  let stderr = "";
  child.stderr?.setEncoding("utf8").on("data", (text: string) => {
    stderr = (stderr + text).slice(-stderrBytes);
    onStderr?.(text);
  });
  const { promise, resolve, reject } = Promise.withResolvers<number | NodeJS.Signals | null>();
  child.once("error", reject);
  child.once("exit", (code, exitSignal) => resolve(code ?? exitSignal));
  let outcome: number | NodeJS.Signals | null;
  try {
    outcome = await promise;
  } catch (error) {
    throw missing("setpriv", error);
  }
  if (child.stderr) await finished(child.stderr).catch(() => undefined);
  if (outcome === 0) return;
  signal?.throwIfAborted();
  if (outcome === 127) throw missing(tool, undefined);
  throw new ToolFailure(tool, stderr.trim() || `it ended with ${outcome}`);
}

const packages: Record<string, string> = { sqfstar: "squashfs-tools", setpriv: "util-linux" };

function missing(tool: string, cause: unknown): SandboxesError {
  return new SandboxesError("HostUnavailable", `${tool} is not installed on the host`, {
    hint: `install it: apt-get install ${packages[tool] ?? tool}`,
    cause,
  });
}

function killGroup(child: ChildProcess, signal: NodeJS.Signals): void {
  if (child.pid === undefined) return;
  try {
    process.kill(-child.pid, signal);
  } catch {
    // The group has ended meanwhile.
  }
}
