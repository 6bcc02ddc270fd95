import type { Duplex } from "node:stream";
import { isSandboxesError, SandboxesError } from "../../../client/errors";
import type { CallOptions } from "../guestAgent";
import { failureOf } from "./failures";
import { Fields, FieldWriter } from "./fields";
import { encodeFrame, type Frame, FrameDecoder } from "./frames";
import { frameType, maxArrivals, streamKind, tag } from "./protocol";
import { GuestStream, type StreamEvents } from "./stream";

/** Takes a stream of the guest's over; called once, at once. */
export type AttachStream = (events: StreamEvents) => GuestStream;

/** How long a farewell may take to leave before the connection is cut. */
const farewellMs = 1000;
/** Beyond it nothing more is read: what a guest sends makes us answer, and one that takes no answers is not heard. */
const maxUnsentBytes = 1024 * 1024;
/** Calls that the guest has not ended, broken off ones included; it has a lower limit of its own. */
const maxCalls = 2048;
const maxPings = 1024;
const maxStreamId = 0xffff_fffe;
/** Frames that answer nothing we wait for: a HELLO that was repeated while the guest booted, or of a later version. */
const maxStrayFrames = 20_000;

/**
 * Many calls at once over one connection to a guest. When the connection ends or the guest breaks the protocol, every
 * call fails with `GuestFailed`.
 */
export class GuestChannel {
  /** Settles once, when nothing more can be called; never rejects. */
  readonly closed: Promise<SandboxesError>;
  readonly #socket: Duplex;
  readonly #decoder = new FrameDecoder();
  readonly #streams = new Map<number, GuestStream>();
  /** By the stream of a listener: what takes the streams that the guest opens for it. */
  readonly #listeners = new Map<number, (attach: AttachStream) => void>();
  #arrivals = 0;
  #strays = 0;
  #pings: { resolve: () => void; reject: (error: Error) => void }[] = [];
  #nextStream = 2;
  #failure: SandboxesError | undefined;
  #announceClosed!: (error: SandboxesError) => void;

  /** Takes over the socket after the handshake; `received` are bytes that came behind it. */
  constructor(socket: Duplex, received: Buffer) {
    this.#socket = socket;
    this.closed = new Promise((resolve) => {
      this.#announceClosed = resolve;
    });
    socket.on("data", (chunk: Buffer) => this.#read(chunk));
    socket.on("error", (error) => this.#fail("the connection broke", error));
    socket.on("end", () => this.#fail("the connection was closed"));
    socket.on("close", () => this.#fail("the connection was closed"));
    this.#read(received);
    socket.resume();
  }

  /** Begins a call of the given kind. */
  open(kind: keyof typeof streamKind, request: FieldWriter, events: StreamEvents): GuestStream {
    if (this.#failure) throw this.#failure;
    if (this.#streams.size >= maxCalls + this.#arrivals) {
      throw new SandboxesError("CapacityExceeded", "Calling the guest: too many calls are under way in the sandbox");
    }
    const id = this.#takeStreamId();
    const stream = new GuestStream(id, (bytes) => this.#write(bytes), events);
    // Known before it is sent: the answer may come from within the write.
    this.#streams.set(id, stream);
    try {
      stream.open(new FieldWriter().number(tag.kind, streamKind[kind]).append(request));
    } catch (error) {
      this.#streams.delete(id);
      throw error;
    }
    return stream;
  }

  /** A call that has the guest open streams, which `arrived` takes; returns how to end it. */
  openListener(request: FieldWriter, events: StreamEvents, arrived: (attach: AttachStream) => void): () => void {
    const id = this.#nextStream;
    const ended = (fields: Fields) => {
      this.#listeners.delete(id);
      events.ended(fields);
    };
    const stream = this.open("listen", request, { ...events, ended });
    this.#listeners.set(id, arrived);
    return () => {
      this.#listeners.delete(id);
      stream.reset();
    };
  }

  /** A call that is one question and one answer; `action` begins its error message. */
  async call(
    kind: keyof typeof streamKind,
    request: FieldWriter,
    action: string,
    options: CallOptions = {},
  ): Promise<Fields> {
    const { signal } = options;
    signal?.throwIfAborted();
    let abort: (() => void) | undefined;
    try {
      return await new Promise<Fields>((resolve, reject) => {
        const stream = this.open(kind, request, {
          ended: (fields) => {
            const failure = failureOf(fields, action);
            if (failure) reject(failure);
            else resolve(fields);
          },
          lost: reject,
        });
        abort = () => {
          stream.reset();
          reject(signal?.reason);
        };
        signal?.addEventListener("abort", abort);
      });
    } finally {
      if (abort) signal?.removeEventListener("abort", abort);
    }
  }

  async ping({ signal }: CallOptions = {}): Promise<void> {
    signal?.throwIfAborted();
    if (this.#failure) throw this.#failure;
    if (this.#pings.length >= maxPings) throw new SandboxesError("GuestFailed", "Talking to the guest: it is silent");
    await new Promise<void>((resolve, reject) => {
      const abort = () => reject(signal?.reason);
      const settled = () => signal?.removeEventListener("abort", abort);
      signal?.addEventListener("abort", abort);
      // It stays in the row when it is given up: answers come in the order of the questions.
      this.#pings.push({
        resolve: () => {
          settled();
          resolve();
        },
        reject: (error) => {
          settled();
          reject(error);
        },
      });
      this.#write(encodeFrame(0, frameType.ping));
    });
  }

  /** Tells the guest to end what it runs for us, and disconnects. */
  close(): void {
    if (this.#failure) return;
    this.#socket.end(encodeFrame(0, frameType.bye), () => this.#socket.destroy());
    setTimeout(() => this.#socket.destroy(), farewellMs).unref();
    this.#fail("it was closed");
  }

  #write(bytes: Buffer): void {
    const socket = this.#socket;
    if (socket.write(bytes) || socket.writableLength < maxUnsentBytes || socket.isPaused()) return;
    socket.pause();
    socket.once("drain", () => socket.resume());
  }

  /** Of those that are free: a number may be the name of a call that the guest has not ended. */
  #takeStreamId(): number {
    let id = this.#nextStream;
    while (this.#streams.has(id)) id = following(id);
    this.#nextStream = following(id);
    return id;
  }

  #read(chunk: Buffer): void {
    if (this.#failure) return;
    try {
      for (const frame of this.#decoder.push(chunk)) {
        this.#receive(frame);
        if (this.#failure) return;
      }
    } catch (error) {
      // The guest broke the protocol: nothing that it sends can be trusted to mean anything.
      this.#fail("the guest broke the protocol", error);
      this.#socket.destroy();
    }
  }

  #receive({ stream, type, payload }: Frame): void {
    if (stream === 0) {
      const ping = type === frameType.pong ? this.#pings.shift() : undefined;
      if (ping) ping.resolve();
      else if (++this.#strays > maxStrayFrames) {
        throw new SandboxesError(
          "GuestFailed",
          "Reading from the guest: it sends frames without end that mean nothing",
        );
      }
      return;
    }
    if (type === frameType.open) {
      this.#arrive(stream, new Fields(payload));
      return;
    }
    const known = this.#streams.get(stream);
    if (!known) throw new SandboxesError("GuestFailed", `Reading from the guest: stream ${stream} does not exist`);
    if (!known.receive(type, payload)) return;
    this.#streams.delete(stream);
    if (stream % 2 === 1) this.#arrivals -= 1;
  }

  /** The guest opens a stream: somebody there connected to a port that a listener of ours holds. */
  #arrive(id: number, fields: Fields): void {
    if (id % 2 === 0 || this.#streams.has(id) || this.#arrivals >= maxArrivals) {
      throw new SandboxesError("GuestFailed", `Reading from the guest: it opened stream ${id}, which it may not`);
    }
    this.#arrivals += 1;
    const attach: AttachStream = (events) => {
      const stream = new GuestStream(id, (bytes) => this.#write(bytes), events);
      this.#streams.set(id, stream);
      return stream;
    };
    const take = this.#listeners.get(fields.requiredNumber(tag.listener));
    if (take) take(attach);
    // Its listener was closed while it was on its way.
    else attach({ ended: () => {}, lost: () => {} }).reset();
  }

  #fail(state: string, cause?: unknown): void {
    if (this.#failure) return;
    const why = isSandboxesError(cause) ? ` (${cause.message})` : "";
    const error = new SandboxesError("GuestFailed", `Talking to the guest: ${state}${why}`, { cause });
    this.#failure = error;
    for (const { reject } of this.#pings.splice(0)) reject(error);
    for (const stream of this.#streams.values()) stream.lose(error);
    this.#streams.clear();
    this.#listeners.clear();
    this.#announceClosed(error);
  }
}

function following(id: number): number {
  return id >= maxStreamId ? 2 : id + 2;
}
