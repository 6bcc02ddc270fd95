import { SandboxesError } from "../client/errors";
import type { Command, ExecResult } from "./exec";

const maxTailLength = 300;

/** Of `exec` with `check`: the program ended otherwise than by exit code 0. `code` is `ExecFailed`. */
export class ExecFailure extends SandboxesError {
  readonly result: ExecResult;

  constructor(command: Command, result: ExecResult) {
    const tail = result.stderr.trimEnd().split("\n").at(-1)?.slice(-maxTailLength);
    super("ExecFailed", `${nameOf(command)} ${howItEnded(result)}${tail ? `: ${tail}` : ""}`);
    this.result = result;
  }
}

/** Arguments may hold secrets: only the program is named. */
function nameOf(command: Command): string {
  return typeof command === "string" ? "The shell command" : `"${command[0]}"`;
}

function howItEnded({ exitCode, signal, timedOut, durationMs }: ExecResult): string {
  if (timedOut) return `ran out of time after ${Math.round(durationMs)} ms`;
  if (signal !== null) return `was ended by ${signal}`;
  return exitCode === null ? "ended without telling an exit code" : `exited with code ${exitCode}`;
}
