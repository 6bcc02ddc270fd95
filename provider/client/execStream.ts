import { randomUUID } from "node:crypto";
import { Readable, Writable } from "node:stream";
import WebSocket from "ws";
import { wasTimedOut, wrapProgram } from "./azure/guestProgram";
import { codeOf, SandboxesError } from "./errors";
import { type ExecExit, readExit } from "./execExit";
import { transportFailure } from "./failures";
import { type CallOptions, type HttpClient, parseJson } from "./http";
import { openWebSocket } from "./webSocket";
import { type ExecClientFrame, type ExecServerFrame, type ExecStart, execServerFrame } from "./wire/exec";

/** Aborting the signal kills the program, also once it runs. */
export type OpenExecOptions = CallOptions;

/** Below the idle limits of usual proxies (60 s), so that a silent program keeps its connection. */
const heartbeatMs = 30_000;
const stdinChunkBytes = 64 * 1024;
const action = "run a program";

/** Starts a program over a WebSocket; rejects when the connection cannot be had. */
export async function openExecStream(
  http: HttpClient,
  sandboxPath: string,
  start: ExecStart,
  { signal }: OpenExecOptions = {},
): Promise<ExecStream> {
  const requestId = randomUUID();
  const { hasExtensions } = http.plane;
  // Azure takes the user in the address, and neither directory nor time limit.
  const { user, workingDirectory, timeoutMs, command, ...plain } = start;
  const query = user && !hasExtensions ? `?user=${encodeURIComponent(user)}` : "";
  const path = `${sandboxPath}/exec/stream${query}`;
  const socket = await openWebSocket(http, path, { action, requestId, signal });
  const azures = { ...plain, command: wrapProgram(command, { workingDirectory, timeoutMs }) };
  return new ExecStream(socket, hasExtensions ? start : azures, { requestId, signal, hasExtensions, timeoutMs });
}

export interface StreamOptions {
  requestId: string;
  signal?: AbortSignal;
  /** See `Plane`. */
  hasExtensions: boolean;
  timeoutMs?: number | null;
}

/** A running program. Its streams share one connection: both outputs must be read, or the program stands still. */
export class ExecStream {
  readonly stdin: Writable;
  readonly stdout: Readable;
  readonly stderr: Readable;
  /** Settles when the program has ended; rejects when it could not start, is lost, or was aborted. */
  readonly exit: Promise<ExecExit>;
  readonly #socket: WebSocket;
  readonly #full = new Set<Readable>();
  readonly #heartbeat: NodeJS.Timeout;
  readonly #stopListening: () => void;
  readonly #hasExtensions: boolean;
  readonly #timeoutMs: number | null | undefined;
  readonly #startedAt = performance.now();
  #settle: { resolve: (exit: ExecExit) => void; reject: (error: unknown) => void } | undefined;
  #alive = true;

  constructor(socket: WebSocket, start: ExecStart, options: StreamOptions) {
    const { requestId, signal } = options;
    this.#socket = socket;
    this.#hasExtensions = options.hasExtensions;
    this.#timeoutMs = options.timeoutMs;
    this.stdout = this.#output();
    this.stderr = this.#output();
    this.stdin = this.#input();
    this.exit = new Promise((resolve, reject) => {
      this.#settle = { resolve, reject };
    });
    // Whoever looks at none of these still must not die of them; `exit` tells the same to those who ask.
    this.exit.catch(() => {});
    for (const stream of [this.stdin, this.stdout, this.stderr]) stream.on("error", () => {});

    socket.on("message", (data) => this.#receive(String(data)));
    socket.on("pong", () => {
      this.#alive = true;
    });
    socket.on("error", (error) => this.#fail(transportFailure(error, action, socket.url, requestId).error));
    socket.on("close", (code) => {
      const message = `Cannot ${action}: the connection was lost before the program ended (WebSocket ${code})`;
      this.#fail(new SandboxesError("HostUnavailable", message, { requestId }));
    });
    this.#heartbeat = setInterval(() => this.#beat(), heartbeatMs).unref();
    const abort = () => {
      if (this.#hasExtensions) this.kill("SIGKILL");
      this.#fail(signal?.reason);
    };
    signal?.addEventListener("abort", abort, { once: true });
    this.#stopListening = () => signal?.removeEventListener("abort", abort);

    socket.resume();
    this.#send({ type: "start", start });
    if (!start.stdin) this.stdin.destroy();
  }

  /** Sends a signal, `SIGTERM`, to the whole tree of processes. No effect once it has ended. Throws on Azure. */
  kill(signal = "SIGKILL"): void {
    if (!this.#hasExtensions) throw unsupported("send a signal to a program");
    this.#send({ type: "signal", signal });
  }

  resize(size: { rows: number; columns: number }): void {
    this.#send({ type: "resize", height: size.rows, width: size.columns });
  }

  #receive(message: string): void {
    const frame = readFrame(message);
    if (!frame) return;
    if (frame.type === "stdout" || frame.type === "stderr") {
      const stream = this[frame.type];
      if (stream.destroyed || stream.push(Buffer.from(frame.data, "base64"))) return;
      this.#full.add(stream);
      this.#socket.pause();
    } else if (frame.type === "exit_code") {
      this.stdout.push(null);
      this.stderr.push(null);
      this.#settle?.resolve(this.#hasExtensions ? readExit(frame) : this.#readAzuresExit(frame.exitCode));
      this.#finish();
    } else {
      const code = codeOf(500, frame.code ?? undefined);
      const text = `Cannot ${action}: ${frame.message ?? frame.code ?? "the service gives no reason"}`;
      this.#fail(new SandboxesError(code, text, { serviceCode: frame.code ?? undefined }));
    }
  }

  /** Azure tells the exit code and no more. */
  #readAzuresExit(exitCode: number | null | undefined): ExecExit {
    const durationMs = performance.now() - this.#startedAt;
    const timedOut = wasTimedOut(exitCode, durationMs, this.#timeoutMs);
    return readExit({ exitCode, durationMs, timedOut, signal: timedOut ? "SIGKILL" : null });
  }

  #fail(error: unknown): void {
    if (!this.#settle) return;
    const cause = error instanceof Error ? error : new Error(String(error));
    this.#settle.reject(error);
    this.stdout.destroy(cause);
    this.stderr.destroy(cause);
    this.#finish();
  }

  #finish(): void {
    this.#settle = undefined;
    this.#stopListening();
    clearInterval(this.#heartbeat);
    this.stdin.destroy();
    this.#socket.resume();
    this.#socket.close();
  }

  #send(frame: ExecClientFrame, sent?: (error?: Error | null) => void): void {
    if (this.#socket.readyState === WebSocket.OPEN) this.#socket.send(JSON.stringify(frame), (error) => sent?.(error));
    else sent?.();
  }

  #output(): Readable {
    const readMore = (stream: Readable) => {
      if (this.#full.delete(stream) && this.#full.size === 0) {
        this.#alive = true; // Its pongs waited behind the output.
        this.#socket.resume();
      }
    };
    const stream: Readable = new Readable({
      read: () => readMore(stream),
      destroy: (error, done) => {
        readMore(stream);
        done(error);
      },
    });
    return stream;
  }

  #input(): Writable {
    return new Writable({
      write: (chunk: Buffer, _encoding, done) => this.#sendInput(chunk, done),
      final: (done) => {
        if (this.#hasExtensions) this.#send({ type: "stdin_close" }, done);
        else {
          // The program would wait for ever, and its caller with it.
          const error = unsupported("end a program's input over a stream");
          this.#fail(error);
          done(error);
        }
      },
    });
  }

  #sendInput(chunk: Buffer, done: (error?: Error | null) => void): void {
    const data = chunk.subarray(0, stdinChunkBytes).toString("base64");
    const rest = chunk.subarray(stdinChunkBytes);
    this.#send({ type: "stdin", data }, (error) => {
      if (error || rest.length === 0) done(error);
      else this.#sendInput(rest, done);
    });
  }

  /** A peer that vanished without a word is noticed within two beats. */
  #beat(): void {
    if (this.#full.size > 0) return;
    if (this.#alive) this.#socket.ping();
    else this.#socket.terminate();
    this.#alive = false;
  }
}

function unsupported(what: string): SandboxesError {
  return new SandboxesError("Unsupported", `Cannot ${what}: Azure's API has no way to do it`, {
    hint: "give input as text or bytes to exec, and a timeoutMs",
  });
}

function readFrame(message: string): ExecServerFrame | undefined {
  const body = parseJson(message);
  const frame = execServerFrame.safeParse(body);
  if (frame.success) return frame.data;
  const known = ["stdout", "stderr", "exit_code", "error"].includes((body as { type?: string } | null)?.type ?? "");
  // Types that a newer service adds are passed over; a broken one of ours would be lost output.
  return known ? { type: "error", message: "a frame of the service is not understood" } : undefined;
}
