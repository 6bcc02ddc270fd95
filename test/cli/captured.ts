import { PassThrough, Writable } from "node:stream";
import type { Command, CommandIo } from "../../provider/cli/command";

export interface Captured {
  exitCode: number;
  stdout: string;
  stderr: string;
}

class Sink extends Writable {
  readonly #chunks: Buffer[] = [];

  override _write(chunk: Buffer, _encoding: string, done: () => void): void {
    this.#chunks.push(chunk);
    done();
  }

  get text(): string {
    return Buffer.concat(this.#chunks).toString();
  }
}

/** Runs a command of the command line against an endpoint and keeps what it prints. */
export function capture(
  command: Command,
  argv: string[],
  surroundings: { endpoint: string; stdin?: string; io?: Partial<CommandIo> },
): Promise<Captured> {
  const stdout = new Sink();
  const stderr = new Sink();
  const stdin = new PassThrough();
  stdin.end(surroundings.stdin ?? "");
  const io: CommandIo = {
    stdin,
    stdout,
    stderr,
    environment: { SANDBOXES_ENDPOINT: surroundings.endpoint },
    signal: new AbortController().signal,
    ...surroundings.io,
  };
  return command.run(argv, io).then((exitCode) => ({ exitCode, stdout: stdout.text, stderr: stderr.text }));
}
