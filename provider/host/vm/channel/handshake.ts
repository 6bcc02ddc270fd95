import { randomBytes } from "node:crypto";
import type { Duplex } from "node:stream";
import { SandboxesError } from "../../../client/errors";
import { encodeFrame } from "./frames";
import {
  frameType,
  guestWindowBytes,
  headerBytes,
  keepProgramsFlag,
  magic,
  maxPayloadBytes,
  nonceBytes,
  paddingByte,
  protocolVersion,
} from "./protocol";

/** Between two HELLOs. What is sent before the guest opens its port may be lost, so it is what a boot waits at most. */
const retryMs = 25;
/** The first padded HELLO; later ones at double the distance. A guest that only boots needs none. */
const firstPaddedMs = 250;
/** Rests of an earlier connection end within the buffers of QEMU and kernel, which are far smaller. */
const maxSkippedBytes = 4 * 1024 * 1024;

/** Of a guest's last words, so much is told. */
const maxReasonBytes = 300;
const keptBytes = 512;

export interface HandshakeOptions {
  signal?: AbortSignal;
  /** How long the guest may take to answer, ms; a booting one answers when it has booted. */
  helloTimeoutMs: number;
  /**
   * Programs of an earlier connection go on by themselves, what they print is dropped: for a guest that was saved with
   * them. Otherwise it ends them. Those in the background go on in any case.
   */
  keepPrograms?: boolean;
}

/**
 * Says HELLO until the guest answers, and returns what came behind the answer. The guest has then ended what it ran for
 * any earlier connection. Rejects with `GuestFailed`, or the signal's reason; the socket is destroyed then.
 */
export async function shakeHands(socket: Duplex, options: HandshakeOptions): Promise<Buffer> {
  options.signal?.throwIfAborted();
  const nonce = randomBytes(nonceBytes);
  const search = new AckSearch(nonce);
  const stopSaying = sayHello(socket, nonce, options.keepPrograms ? keepProgramsFlag : 0);
  let cleanUp = () => {};
  try {
    return await new Promise<Buffer>((resolve, reject) => {
      const giveUp = (error: unknown) => {
        // At once: a guest that floods us must not go on. What the dying socket may still report has no reader.
        socket.on("error", () => {}).destroy();
        reject(error);
      };
      const fail = (state: string, cause?: unknown) =>
        giveUp(new SandboxesError("GuestFailed", `Connecting to the guest's agent: ${state}`, { cause }));
      const onData = (chunk: Buffer) => {
        try {
          const rest = search.push(chunk);
          if (!rest) return;
          // Until the channel listens, nothing may flow by.
          socket.pause();
          resolve(rest);
        } catch (error) {
          giveUp(error);
        }
      };
      const onError = (error: Error) => fail(search.lastWords() ?? "the connection broke", error);
      const onClose = () => fail(search.lastWords() ?? "the connection was closed");
      const onAbort = () => giveUp(options.signal?.reason);
      const timer = setTimeout(() => fail(`no answer within ${options.helloTimeoutMs} ms`), options.helloTimeoutMs);
      cleanUp = () => {
        clearTimeout(timer);
        socket.off("data", onData).off("error", onError).off("end", onClose).off("close", onClose);
        options.signal?.removeEventListener("abort", onAbort);
      };
      socket.on("data", onData).on("error", onError).on("end", onClose).on("close", onClose);
      options.signal?.addEventListener("abort", onAbort);
    });
  } finally {
    stopSaying();
    cleanUp();
  }
}

/** Begins to send HELLO; returns how to stop. */
function sayHello(socket: Duplex, nonce: Buffer, flags: number): () => void {
  const hello = encodeFrame(0, frameType.hello, Buffer.concat([magic, Buffer.of(flags, protocolVersion), nonce]));
  // Whatever an earlier host left unfinished in the guest is filled up by so many bytes.
  const padding = () => Buffer.alloc(headerBytes + maxPayloadBytes, paddingByte);
  let padAt = performance.now() + firstPaddedMs;
  let padEvery = firstPaddedMs;
  socket.write(hello);
  const timer = setInterval(() => {
    // Nobody reads while the last one waits; another would only wait behind it.
    if (socket.writableLength > 0) return;
    if (performance.now() < padAt) {
      socket.write(hello);
      return;
    }
    padEvery *= 2;
    padAt = performance.now() + padEvery;
    socket.write(Buffer.concat([padding(), hello]));
  }, retryMs);
  return () => clearInterval(timer);
}

/** Finds the answer to our HELLO in bytes that may begin with the rests of an earlier connection. */
class AckSearch {
  readonly #expected: Buffer;
  #held = Buffer.alloc(0);
  #skipped = 0;
  readonly #versionOffset = headerBytes + magic.length;
  readonly #nonce: Buffer;

  constructor(nonce: Buffer) {
    const tail = Buffer.alloc(4);
    tail.writeUInt32BE(guestWindowBytes);
    this.#nonce = nonce;
    this.#expected = encodeFrame(
      0,
      frameType.helloAck,
      Buffer.concat([magic, Buffer.from([0, protocolVersion]), nonce, tail]),
    );
  }

  /** The bytes behind the answer, once it is complete. */
  push(chunk: Buffer): Buffer | undefined {
    this.#held = Buffer.concat([this.#held, chunk]);
    const found = this.#held.indexOf(this.#nonce);
    const start = found - this.#versionOffset - 2;
    if (found >= 0 && start < 0) {
      throw new SandboxesError("GuestFailed", "Connecting to the guest's agent: its answer is malformed");
    }
    if (found >= 0 && this.#held.length >= start + this.#expected.length) {
      return this.#take(start);
    }
    if (found < 0) {
      // Only as much as could be the beginning of an answer, or last words.
      const keep = Math.min(this.#held.length, keptBytes);
      this.#skipped += this.#held.length - keep;
      this.#held = Buffer.from(this.#held.subarray(this.#held.length - keep));
    }
    if (this.#skipped > maxSkippedBytes) {
      throw new SandboxesError("GuestFailed", "Connecting to the guest's agent: it sent no answer but other bytes");
    }
    return undefined;
  }

  /** Why the guest could not start, if it said so before it ended. */
  lastWords(): string | undefined {
    const start = this.#held.indexOf(magic) - headerBytes;
    if (start < 0 || this.#held[start + headerBytes - 1] !== frameType.fatal) return undefined;
    const length = this.#held.readUInt32BE(start) - magic.length;
    const reason = this.#held.subarray(start + this.#versionOffset).subarray(0, Math.min(length, maxReasonBytes));
    return `the guest could not start: ${reason.toString("latin1").replace(/[^ -~]/g, "?")}`;
  }

  #take(start: number): Buffer {
    const answer = this.#held.subarray(start, start + this.#expected.length);
    if (!answer.equals(this.#expected)) {
      const version = answer.readUInt16BE(this.#versionOffset);
      throw new SandboxesError(
        "GuestFailed",
        `Connecting to the guest's agent: it speaks version ${version} of the protocol, needed is ${protocolVersion}`,
      );
    }
    return this.#held.subarray(start + this.#expected.length);
  }
}
