import { Readable } from "node:stream";
import type { GuestStream, Output } from "./stream";

/** Held in Node's own buffer; the rest waits in ours, bounded by the window. */
const aheadBytes = 16 * 1024;

/** An output of a call as a Node stream: reading it is what gives the guest credit. */
export class OutputReadable extends Readable {
  readonly #stream: () => GuestStream;
  readonly #output: Output;
  #queue: Buffer[] = [];
  #wanted = false;
  #complete = false;

  constructor(stream: () => GuestStream, output: Output) {
    super({ highWaterMark: aheadBytes });
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
    if (bytes.length > 0) this.#queue.push(bytes);
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
    for (const bytes of this.#queue.splice(0)) this.#stream().consumed(this.#output, bytes.length);
    callback(error);
  }

  #drain(): void {
    while (this.#wanted) {
      const bytes = this.#queue.shift();
      if (bytes === undefined) break;
      this.#stream().consumed(this.#output, bytes.length);
      this.#wanted = this.push(bytes);
    }
    if (this.#complete && this.#queue.length === 0 && this.#wanted && !this.destroyed) {
      this.#wanted = false;
      this.push(null);
    }
  }
}
