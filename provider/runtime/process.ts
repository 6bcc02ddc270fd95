import type { Readable, Writable } from "node:stream";
import type { ExecExit } from "../client/execExit";
import type { ExecStream } from "../client/execStream";
import type { SandboxesApi } from "../client/sandboxes";
import { argvOf, type Command, type ProgramOptions } from "./exec";

export interface TerminalSize {
  rows: number;
  columns: number;
}

export interface SpawnOptions extends ProgramOptions {
  /** A terminal of that size, or of 24 rows and 80 columns; all output then comes on stdout. */
  tty?: boolean | TerminalSize;
}

/** Starts a program. That it could not be started (no such program, say) is told by `wait`, not here. */
export async function spawn(
  api: SandboxesApi,
  id: string,
  command: Command,
  options: SpawnOptions = {},
): Promise<SandboxProcess> {
  const { tty, signal } = options;
  const size = tty === true ? { rows: 24, columns: 80 } : tty || undefined;
  const start = {
    command: argvOf(command),
    environment: options.env,
    workingDirectory: options.cwd,
    user: options.user,
    timeoutMs: options.timeoutMs,
    stdin: true,
    tty: size !== undefined,
    height: size?.rows,
    width: size?.columns,
  };
  return new SandboxProcess(await api.stream(id, start, { signal }));
}

/** A running program. Its two outputs share one connection: read both, or `wait` discards the one nobody reads. */
export class SandboxProcess {
  /** Ending it ends the program's stdin. */
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  readonly #stream: ExecStream;

  constructor(stream: ExecStream) {
    this.#stream = stream;
    this.stdin = stream.stdin;
    this.stdout = stream.stdout;
    this.stderr = stream.stderr;
  }

  /** How it ended. Rejects when it could not start, was aborted, or the sandbox is lost. Repeatable. */
  wait(): Promise<ExecExit> {
    for (const stream of [this.stdout, this.stderr]) if (stream.readableFlowing === null) stream.resume();
    return this.#stream.exit;
  }

  /** Sends a signal to the whole tree of processes; default SIGKILL. No effect once it has ended. */
  kill(signal: NodeJS.Signals = "SIGKILL"): void {
    this.#stream.kill(signal);
  }

  /** Of a program with a terminal. */
  resize(size: TerminalSize): void {
    this.#stream.resize(size);
  }
}
