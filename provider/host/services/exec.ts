import { constants } from "node:os";
import { isSandboxesError, SandboxesError } from "../../client/errors";
import type { Program } from "../store/sandboxStore";
import type { GuestExit, GuestProcess } from "../vm/guestAgent";
import { CallLimit } from "./callLimit";
import type { HostLog } from "./hostLog";
import { collectOutput } from "./outputLimit";
import type { SandboxService } from "./sandboxes";

/**
 * Limits of one exec. The guest kills the process tree after `timeoutMs`; the host waits `graceMs` longer and then
 * holds the guest for lost. Azure's gateway cuts at 600 s too, but with a 504 that its SDKs would answer by running
 * the command again.
 */
const limits = {
  defaultTimeoutMs: 600_000,
  maxTimeoutMs: 24 * 3600_000,
  graceMs: 15_000,
  /** A guest starts a program within a second; this is for one that stands still to be saved, or is loaded heavily. */
  startMs: 120_000,
  defaultOutputBytes: 10 * 2 ** 20,
  maxOutputBytes: 64 * 2 ** 20,
};

export interface ExecInput {
  argv: string[];
  environment?: Record<string, string> | null;
  workingDirectory?: string | null;
  user?: string | null;
  stdin?: Uint8Array;
  timeoutMs?: number | null;
  maxOutputBytes?: number | null;
  /** Resumes a stopped sandbox first. */
  activate?: boolean;
}

export interface StreamInput extends Omit<ExecInput, "stdin" | "maxOutputBytes"> {
  stdin: boolean;
  tty?: { columns: number; rows: number };
}

export interface ExecOutcome {
  /** 128 and the signal's number when one ended it, as shells say it. */
  exitCode: number;
  signal: string | null;
  timedOut: boolean;
  durationMs: number;
  stdout: string;
  stderr: string;
  truncated: boolean;
}

/** Runs programs in sandboxes. */
export class ExecService {
  readonly #sandboxes: SandboxService;
  readonly #log: HostLog;
  /** Programs run since the daemon started. */
  started = 0;

  constructor(parts: { sandboxes: SandboxService; log: HostLog }) {
    this.#sandboxes = parts.sandboxes;
    this.#log = parts.log;
  }

  /** Runs a program to its end; `signal` (the caller is gone) kills its process tree. */
  async run(groupKey: string, id: string, input: ExecInput, signal: AbortSignal): Promise<ExecOutcome> {
    const timeoutMs = Math.min(input.timeoutMs ?? limits.defaultTimeoutMs, limits.maxTimeoutMs);
    const maxBytes = Math.min(input.maxOutputBytes ?? limits.defaultOutputBytes, limits.maxOutputBytes);
    try {
      const process = await this.start(groupKey, id, { ...input, timeoutMs, stdin: input.stdin !== undefined }, signal);
      process.stdin?.on("error", () => undefined); // A program need not read all it is given.
      process.stdin?.end(input.stdin);
      const [stdout, stderr, exit] = await Promise.all([
        collectOutput(process.stdout, maxBytes),
        collectOutput(process.stderr, maxBytes),
        process.exit,
      ]);
      const truncated = stdout.truncated || stderr.truncated;
      return { ...exit, exitCode: exitCodeOf(exit), stdout: stdout.text, stderr: stderr.text, truncated };
    } catch (error) {
      throw this.explained(groupKey, id, error);
    }
  }

  /** Starts a program; the caller consumes its streams. `signal` kills its process tree. */
  async start(groupKey: string, id: string, input: StreamInput, signal: AbortSignal): Promise<GuestProcess> {
    const { record, vm } = await this.#sandboxes.running(groupKey, id, input.activate);
    if (signal.aborted) throw callerGone(id);
    this.started += 1;
    const program = record.program ?? bareProgram;
    const release = this.#sandboxes.hold(record.id);
    const limit = new CallLimit(record.id, signal);
    const over = () => {
      limit.end();
      release();
    };
    try {
      const network = await this.#sandboxes.environment(record);
      const timeoutMs = Math.min(input.timeoutMs ?? limits.maxTimeoutMs, limits.maxTimeoutMs);
      limit.within(limits.startMs);
      const process = await vm.agent.exec({
        argv: input.argv,
        env: { ...network, ...program.env, ...input.environment },
        cwd: input.workingDirectory || program.workingDirectory,
        user: input.user || program.user,
        stdin: input.stdin,
        timeoutMs,
        signal: limit.signal,
        tty: input.tty,
      });
      // Output that the caller has not read yet is no delay of the guest's.
      const isUnread = () => process.stdout.readableLength + process.stderr.readableLength > 0;
      limit.within(timeoutMs + limits.graceMs, isUnread);
      process.exit.then(over, (error: unknown) => {
        over();
        if (limit.signal.aborted && !signal.aborted) {
          this.#log.warn({ sandbox: id, reason: String(error) }, "a guest did not end a program in time");
        }
      });
      return process;
    } catch (error) {
      over();
      throw error;
    }
  }

  /** What became of a program whose sandbox was stopped: the connection to it has ended, it has not. */
  explained(groupKey: string, id: string, error: unknown): unknown {
    if (!isSandboxesError(error, "GuestFailed")) return error;
    const state = this.#sandboxes.stateOf(groupKey, id);
    if (state !== "Stopping" && state !== "Stopped") return error;
    return new SandboxesError("NotRunning", `Sandbox '${id}' was stopped while a program ran in it`, {
      hint: "the program goes on when the sandbox is resumed; nobody hears of it any more",
    });
  }
}

/** As shells say it: Azure's SDKs read a missing code as success. */
export function exitCodeOf(exit: GuestExit): number {
  if (exit.exitCode !== null) return exit.exitCode;
  return 128 + (constants.signals[exit.signal as NodeJS.Signals] ?? 0);
}

/** A sandbox from before its program was recorded does not exist; this is for the type. */
const bareProgram: Program = { argv: [], env: {}, workingDirectory: "/", user: "root" };

function callerGone(id: string): SandboxesError {
  return new SandboxesError("Timeout", `The caller left before a program could start in sandbox '${id}'`);
}
