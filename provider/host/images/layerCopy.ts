import { type FileHandle, open } from "node:fs/promises";
import { dirname } from "node:path";
import { requireRoom } from "./diskRoom";

const checkEveryBytes = 256 * 1024 * 1024;
const zeros = Buffer.alloc(1024 * 1024);

/** A layer's decompressed tar on disk, so that its second reading need not decompress again. Zeros take no room. */
export class LayerCopy {
  readonly path: string;
  readonly #file: FileHandle;
  #size = 0;
  #nextCheck = 0;
  /** One at a time, while its caller already makes the next chunk. */
  #writing: Promise<unknown> = Promise.resolve();

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  static async create(path: string): Promise<LayerCopy> {
    return new LayerCopy(path, await open(path, "wx", 0o600));
  }

  /** Keeps the chunk until it is written, which the next call waits for. */
  async write(chunk: Buffer): Promise<void> {
    if (this.#size >= this.#nextCheck) await this.#requireRoom();
    const isHole = chunk.length <= zeros.length && chunk.equals(zeros.subarray(0, chunk.length));
    await this.#writing;
    if (!isHole) {
      this.#writing = this.#file.write(chunk, 0, chunk.length, this.#size);
      // Told by the next call, or by `close`.
      this.#writing.catch(() => undefined);
    }
    this.#size += chunk.length;
  }

  /** Ends writing; whoever gave the path removes the file. */
  async close(): Promise<void> {
    try {
      await this.#writing;
      await this.#file.truncate(this.#size);
    } finally {
      await this.#file.close();
    }
  }

  async #requireRoom(): Promise<void> {
    this.#nextCheck += checkEveryBytes;
    await requireRoom(dirname(this.path), checkEveryBytes);
  }
}
