import { randomUUID } from "node:crypto";
import type { BackgroundApi } from "../client/background";
import { type ExecExit, readExit } from "../client/execExit";
import type { CallOptions } from "../client/http";
import { type BackgroundView, maxOutputWaitMs } from "../client/wire/background";
import { argvOf, type Command, type ProgramOptions } from "./exec";

export interface StartOptions extends ProgramOptions {
  /** Enforced in the guest, which then kills the whole tree of processes; default none. */
  timeoutMs?: number;
  /** Letters, digits and hyphens, at most 64; default a UUID. Where one of that id was started before, nothing is. */
  id?: string;
}

export interface ReadOutputOptions extends CallOptions {
  /** Place among all bytes that it printed; default the first that is kept. */
  from?: number;
}

/** A piece of what a program printed. */
export interface OutputPiece {
  stream: "stdout" | "stderr";
  data: Buffer;
  /** Bytes before it that are kept no more and were not read. */
  dropped: number;
  /** Place behind it, to read on from. */
  next: number;
}

/**
 * Programs of a sandbox that need nobody who listens: they go on when their caller or the host ends, and with a sandbox
 * that is resumed. The sandbox keeps the newest 256 KiB of what each prints, and how it ended, of the newest 64.
 */
export class BackgroundProcesses {
  readonly #api: BackgroundApi;

  constructor(api: BackgroundApi) {
    this.#api = api;
  }

  /** Resolves once it runs, its stdin empty; rejects with `ExecFailed` when it cannot. */
  async start(command: Command, options: StartOptions = {}): Promise<BackgroundProcess> {
    const { cwd, env, user, timeoutMs, signal, id = randomUUID() } = options;
    const content = { command: argvOf(command), workingDirectory: cwd, environment: env, user, timeoutMs };
    return new BackgroundProcess(this.#api, await this.#api.start(id, content, { signal }));
  }

  /** Rejects with `ProcessNotFound`. The sandbox's own program (of its image) is `main`. */
  async get(id: string, options: CallOptions = {}): Promise<BackgroundProcess> {
    return new BackgroundProcess(this.#api, await this.#api.get(id, options));
  }

  /** In the order of their starts. */
  async list(options: CallOptions = {}): Promise<BackgroundProcess[]> {
    return (await this.#api.list(options)).map((view) => new BackgroundProcess(this.#api, view));
  }
}

/** One of them. What it tells of itself is as of the last answer; `refresh` asks again. */
export class BackgroundProcess {
  readonly id: string;
  readonly #api: BackgroundApi;
  #view: BackgroundView;

  constructor(api: BackgroundApi, view: BackgroundView) {
    this.#api = api;
    this.#view = view;
    this.id = view.id;
  }

  /** Its first arguments, some 250 bytes of them. */
  get command(): readonly string[] {
    return this.#view.command;
  }

  /** By the sandbox's clock. */
  get startedAt(): Date {
    return new Date(this.#view.startedAt);
  }

  /** Undefined while it runs. */
  get exit(): ExecExit | undefined {
    return this.#view.state === "Running" ? undefined : readExit(this.#view);
  }

  async refresh(options: CallOptions = {}): Promise<this> {
    this.#view = await this.#api.get(this.id, options);
    return this;
  }

  /** What is kept of its output, up to now. `truncated` tells that older output, or some in between, is kept no more. */
  async output({ from = 0, signal }: ReadOutputOptions = {}): Promise<{
    stdout: string;
    stderr: string;
    truncated: boolean;
    /** Place to read on from. */
    next: number;
  }> {
    const texts = { stdout: [] as Buffer[], stderr: [] as Buffer[] };
    let dropped = 0;
    let next = from;
    for await (const piece of this.#read(from, false, signal)) {
      texts[piece.stream].push(piece.data);
      dropped += piece.dropped;
      next = piece.next;
    }
    const textOf = (parts: Buffer[]) => Buffer.concat(parts).toString();
    return { stdout: textOf(texts.stdout), stderr: textOf(texts.stderr), truncated: dropped > 0, next };
  }

  /** Its output as it comes, until it ends. It never waits for its readers: one that is too slow finds some dropped. */
  follow({ from = 0, signal }: ReadOutputOptions = {}): AsyncGenerator<OutputPiece> {
    return this.#read(from, true, signal);
  }

  /** Waits for its end. */
  async wait({ signal }: CallOptions = {}): Promise<ExecExit> {
    while (!this.exit) {
      const { outputEnd } = this.#view;
      const { process } = await this.#api.output(this.id, outputEnd, { waitMs: maxOutputWaitMs, signal });
      this.#view = process;
    }
    return this.exit;
  }

  /** Sends a signal to its whole tree; default SIGKILL. No effect once it has ended. */
  kill(signal: NodeJS.Signals = "SIGKILL", options: CallOptions = {}): Promise<void> {
    return this.#api.kill(this.id, signal, options);
  }

  /** Kills its whole tree and forgets it, with its output. Repeatable. */
  remove(options: CallOptions = {}): Promise<void> {
    return this.#api.remove(this.id, options);
  }

  async *#read(from: number, follow: boolean, signal?: AbortSignal): AsyncGenerator<OutputPiece> {
    let place = from;
    for (;;) {
      const waitMs = follow ? maxOutputWaitMs : 0;
      const answer = await this.#api.output(this.id, place, { waitMs, signal });
      this.#view = answer.process;
      let at = answer.from;
      let dropped = at - place;
      for (const { stream, data } of answer.parts) {
        const bytes = Buffer.from(data, "base64");
        at += bytes.length;
        yield { stream, data: bytes, dropped, next: at };
        dropped = 0;
      }
      place = answer.next;
      if (place >= answer.process.outputEnd && (!follow || this.exit)) return;
    }
  }
}
