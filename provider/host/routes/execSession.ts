import type { Readable } from "node:stream";
import type { RawData, WebSocket } from "ws";
import { isSandboxesError, SandboxesError } from "../../client/errors";
import { type ExecServerFrame, type ExecStart, execClientFrame } from "../../client/wire/exec";
import { exitCodeOf } from "../services/exec";
import type { GuestProcess } from "../vm/guestAgent";
import type { RouteContext } from "./context";
import { sendFrame, watchPeer } from "./webSockets";

/** A client that opens and says nothing must not hold a connection. */
const startWithinMs = 30_000;
/** Where a stream's program runs. */
export interface StreamTarget {
  group: string;
  id: string;
  /** From the query; the start frame's wins. */
  user?: string;
}

/** One WebSocket, one program: serves it to its end. Never rejects; closing the socket kills the program. */
export async function serveExecStream(context: RouteContext, socket: WebSocket, target: StreamTarget): Promise<void> {
  const gone = new AbortController();
  socket.once("close", () => gone.abort());
  socket.on("error", () => socket.terminate()); // A broken frame or pipe; `close` follows and ends the program.
  const stopPings = watchPeer(socket);
  try {
    const frames = frameQueue(socket);
    const start = await firstStart(frames, gone.signal);
    const tty = start.tty ? { columns: start.width || 80, rows: start.height || 24 } : undefined;
    const process = await context.exec.start(
      target.group,
      target.id,
      {
        argv: start.command,
        environment: start.environment,
        workingDirectory: start.workingDirectory,
        user: start.user ?? target.user,
        timeoutMs: start.timeoutMs,
        stdin: start.stdin !== false,
        tty,
      },
      gone.signal,
    );
    process.stdin?.on("error", () => undefined); // A program need not read all it is given.
    frames.each((frame) => handle(frame, process, socket));
    await Promise.all([pump(process.stdout, "stdout", socket), pump(process.stderr, "stderr", socket)]);
    const exit = await process.exit;
    const { signal, timedOut, durationMs } = exit;
    await send(socket, { type: "exit_code", exitCode: exitCodeOf(exit), signal, timedOut, durationMs });
    socket.close(1000);
  } catch (error) {
    if (gone.signal.aborted) return;
    const explained = context.exec.explained(target.group, target.id, error);
    const unexpected = new SandboxesError("Internal", "The host failed unexpectedly");
    const known = isSandboxesError(explained) ? explained : unexpected;
    await send(socket, { type: "error", code: known.serviceCode, message: known.message }).catch(() => undefined);
    socket.close(1011);
  } finally {
    stopPings();
    // Else its farewell would not be heard.
    socket.resume();
  }
}

/** Sends what a stream yields; the caller's slowness slows the program. */
async function pump(stream: Readable, type: "stdout" | "stderr", socket: WebSocket): Promise<void> {
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    await send(socket, { type, data: Buffer.from(chunk).toString("base64") });
  }
}

function send(socket: WebSocket, frame: ExecServerFrame): Promise<void> {
  return sendFrame(socket, frame);
}

function handle(frame: ReturnType<typeof readFrame>, process: GuestProcess, socket: WebSocket): void {
  if (frame.type === "stdin") {
    const { stdin } = process;
    if (!stdin || stdin.writableEnded || stdin.destroyed) return;
    if (stdin.write(Buffer.from(frame.data, "base64"))) return;
    socket.pause();
    const goOn = () => {
      stdin.off("drain", goOn).off("close", goOn);
      socket.resume();
    };
    stdin.on("drain", goOn).on("close", goOn);
  } else if (frame.type === "stdin_close") {
    process.stdin?.end();
  } else if (frame.type === "signal") {
    process.kill(frame.signal);
  } else if (frame.type === "resize") {
    if (frame.width > 0 && frame.height > 0) process.resize(frame.width, frame.height);
  } else {
    throw new SandboxesError("Invalid", "A stream runs one program: it was started already");
  }
}

interface FrameQueue {
  first: Promise<ReturnType<typeof readFrame>>;
  /** Hands over what came and what comes. */
  each: (consume: (frame: ReturnType<typeof readFrame>) => void) => void;
}

function frameQueue(socket: WebSocket): FrameQueue {
  const waiting: ReturnType<typeof readFrame>[] = [];
  let consume: ((frame: ReturnType<typeof readFrame>) => void) | undefined;
  let gotFirst: ((frame: ReturnType<typeof readFrame>) => void) | undefined;
  const fail = (error: unknown) => {
    const message = isSandboxesError(error) ? error.message : "The frame is malformed";
    const report: ExecServerFrame = { type: "error", code: "InvalidRequest", message };
    send(socket, report).catch(() => undefined); // Told or not, the connection ends here.
    socket.close(1008);
  };
  const first = new Promise<ReturnType<typeof readFrame>>((resolve) => {
    gotFirst = resolve;
  });
  socket.on("message", (data) => {
    try {
      const frame = readFrame(data);
      if (gotFirst) {
        gotFirst(frame);
        gotFirst = undefined;
      } else if (consume) consume(frame);
      else {
        waiting.push(frame);
        // Until the program runs, what follows waits with the caller.
        socket.pause();
      }
    } catch (error) {
      fail(error);
    }
  });
  return {
    first,
    each: (consumer) => {
      consume = consumer;
      socket.resume();
      try {
        for (const frame of waiting.splice(0)) consumer(frame);
      } catch (error) {
        fail(error);
      }
    },
  };
}

function readFrame(data: RawData) {
  const text = Buffer.isBuffer(data) ? data.toString() : Buffer.concat(data as Buffer[]).toString();
  return execClientFrame.parse(JSON.parse(text));
}

async function firstStart(frames: FrameQueue, gone: AbortSignal): Promise<ExecStart> {
  const limit = AbortSignal.any([gone, AbortSignal.timeout(startWithinMs)]);
  const late = new Promise<never>((_resolve, reject) => {
    const error = new SandboxesError("Timeout", `No "start" frame came within ${startWithinMs} ms`);
    limit.addEventListener("abort", () => reject(error), { once: true });
  });
  const frame = await Promise.race([frames.first, late]);
  if (frame.type !== "start") throw new SandboxesError("Invalid", 'The first frame must be "start"');
  return frame.start;
}
