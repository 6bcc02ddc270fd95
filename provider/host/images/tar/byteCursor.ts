/** Reads a stream of chunks by exact counts; holds at most one chunk besides what was asked for. */
export class ByteCursor {
  readonly #source: AsyncIterator<Buffer>;
  #chunk: Buffer = Buffer.alloc(0);
  #offset = 0;

  constructor(source: AsyncIterable<Buffer>) {
    this.#source = source[Symbol.asyncIterator]();
  }

  /** The next `count` bytes; fewer at the end of the stream. */
  async take(count: number): Promise<Buffer> {
    if (this.#chunk.length - this.#offset >= count) return this.#slice(count);
    const parts: Buffer[] = [];
    let missing = count;
    for await (const part of this.chunks(count)) {
      parts.push(part);
      missing -= part.length;
    }
    return Buffer.concat(parts, count - missing);
  }

  /** The next `count` bytes as they come, uncopied; fewer at the end of the stream. */
  async *chunks(count: number): AsyncGenerator<Buffer> {
    let missing = count;
    while (missing > 0 && (await this.#fill())) {
      const part = this.#slice(Math.min(missing, this.#chunk.length - this.#offset));
      missing -= part.length;
      yield part;
    }
  }

  /** Passes over `count` bytes and returns how many there were. */
  async skip(count: number): Promise<number> {
    let missing = count;
    while (missing > 0 && (await this.#fill())) {
      const step = Math.min(missing, this.#chunk.length - this.#offset);
      this.#offset += step;
      missing -= step;
    }
    return count - missing;
  }

  /** Ends the source early, so that it frees what it holds. */
  async close(): Promise<void> {
    await this.#source.return?.();
  }

  #slice(count: number): Buffer {
    const part = this.#chunk.subarray(this.#offset, this.#offset + count);
    this.#offset += count;
    return part;
  }

  async #fill(): Promise<boolean> {
    while (this.#offset >= this.#chunk.length) {
      const next = await this.#source.next();
      if (next.done) return false;
      this.#chunk = next.value;
      this.#offset = 0;
    }
    return true;
  }
}
