import { Readable } from "node:stream";
import type { GuestStream, Output } from "./stream";

/**
 * Pieces below this are copied together: of a guest that sends single bytes not one object each is held, nor the whole
 * chunk of the socket's that they came in.
 */
const blockBytes = 4 * 1024;

/** An output of a call as a Node stream: reading it is what gives the guest credit. */
export class OutputReadable extends Readable {
  readonly #stream: () => GuestStream;
  readonly #output: Output;
  readonly #queue: Buffer[] = [];
  /** Behind the queue: small pieces, as far as it is filled. */
  #block = noBytes;
  #fill = 0;
  #wanted = false;
  #complete = false;

  constructor(stream: () => GuestStream, output: Output) {
    // Node holds one piece; the rest waits here, bounded by the window.
    super({ highWaterMark: 1 });
    this.#stream = stream;
    this.#output = output;
    // A lost guest is told by the call itself; a reader that does not listen for errors must not bring us down.
    this.on("error", () => {});
  }

  /** Bytes came. */
  accept(bytes: Buffer): void {
    if (this.destroyed) {
      // Nobody wants them; without credit the program would be stuck.
      this.#stream().consumed(this.#output, bytes.length);
      return;
    }
    this.#hold(bytes);
    this.#drain();
  }

  /** No more bytes come. Repeatable. */
  complete(): void {
    this.#complete = true;
    this.#drain();
  }

  override _read(): void {
    this.#wanted = true;
    this.#drain();
  }

  override _destroy(error: Error | null, callback: (error?: Error | null) => void): void {
    for (let bytes = this.#next(); bytes; bytes = this.#next()) this.#stream().consumed(this.#output, bytes.length);
    callback(error);
  }

  #drain(): void {
    while (this.#wanted) {
      const bytes = this.#next();
      if (bytes === undefined) break;
      this.#stream().consumed(this.#output, bytes.length);
      this.#wanted = this.push(bytes);
    }
    if (this.#complete && this.#wanted && !this.destroyed) {
      this.#wanted = false;
      this.push(null);
    }
  }

  #hold(bytes: Buffer): void {
    if (this.#fill + bytes.length > this.#block.length) this.#closeBlock();
    if (bytes.length >= blockBytes) {
      this.#queue.push(bytes);
      return;
    }
    // With a reader that waits it leaves at once, and nothing comes behind it.
    if (this.#fill === 0) this.#block = Buffer.allocUnsafe(this.#wanted ? bytes.length : blockBytes);
    this.#fill += bytes.copy(this.#block, this.#fill);
  }

  #next(): Buffer | undefined {
    if (this.#queue.length === 0) this.#closeBlock();
    return this.#queue.shift();
  }

  #closeBlock(): void {
    if (this.#fill > 0) this.#queue.push(this.#block.subarray(0, this.#fill));
    this.#block = noBytes;
    this.#fill = 0;
  }
}

const noBytes = Buffer.alloc(0);
