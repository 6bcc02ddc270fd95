import type { Readable, Writable } from "node:stream";
import { SandboxesError } from "../client/errors";

/** One word of the command line, `sandboxes NAME …`. */
export interface Command {
  name: string;
  /** One line for the list of commands. */
  summary: string;
  /** What `--help` prints: the forms, then the options. */
  usage: string;
  /** Resolves with the exit code; rejects with what the dispatcher prints (see `usageError`). */
  run(argv: string[], io: CommandIo): Promise<number>;
}

/** A part of `sandboxes host`. */
export interface HostCommand {
  usage: string;
  run(argv: string[], io: CommandIo): Promise<number>;
}

/** All of the outside world that a command may touch. */
export interface CommandIo {
  stdin: Readable & { isTTY?: boolean; setRawMode?: (raw: boolean) => unknown };
  stdout: Writable & { isTTY?: boolean; rows?: number; columns?: number };
  stderr: Writable & { isTTY?: boolean };
  environment: NodeJS.ProcessEnv;
  /** Fires at SIGINT, SIGTERM and SIGHUP: end, and clean up. */
  signal: AbortSignal;
}

const badUsage = "BadUsage";

/** A command line that cannot be understood: exit code 2. The hint says what to write instead. */
export function usageError(message: string, hint: string): SandboxesError {
  return new SandboxesError("Invalid", message, { serviceCode: badUsage, hint });
}

/** 2 for a bad command line, else 1. */
export function exitCodeOf(error: unknown): 1 | 2 {
  return error instanceof SandboxesError && error.serviceCode === badUsage ? 2 : 1;
}
