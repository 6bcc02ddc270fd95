import { type FileHandle, open, statfs } from "node:fs/promises";
import { dirname } from "node:path";
import { SandboxesError } from "../../client/errors";

const checkEveryBytes = 256 * 1024 * 1024;
// The rest of the host goes on needing room while an image turns out larger than it looked.
const leftFreeBytes = 2 * 1024 * 1024 * 1024;
const zeros = Buffer.alloc(1024 * 1024);

/** A layer's decompressed tar on disk, so that its second reading need not decompress again. Zeros take no room. */
export class LayerCopy {
  readonly path: string;
  readonly #file: FileHandle;
  #size = 0;
  #nextCheck = 0;

  private constructor(path: string, file: FileHandle) {
    this.path = path;
    this.#file = file;
  }

  static async create(path: string): Promise<LayerCopy> {
    return new LayerCopy(path, await open(path, "wx", 0o600));
  }

  async write(chunk: Buffer): Promise<void> {
    if (this.#size >= this.#nextCheck) await this.#requireRoom();
    const isHole = chunk.length <= zeros.length && chunk.equals(zeros.subarray(0, chunk.length));
    if (!isHole) await this.#file.write(chunk, 0, chunk.length, this.#size);
    this.#size += chunk.length;
  }

  /** Ends writing; whoever gave the path removes the file. */
  async close(): Promise<void> {
    await this.#file.truncate(this.#size);
    await this.#file.close();
  }

  async #requireRoom(): Promise<void> {
    this.#nextCheck += checkEveryBytes;
    const { bavail, bsize } = await statfs(dirname(this.path));
    if (bavail * bsize > leftFreeBytes + checkEveryBytes) return;
    throw new SandboxesError("HostUnavailable", "the disk of the host is nearly full: the image cannot be unpacked", {
      hint: "remove images or sandboxes, or give the host a larger data directory",
    });
  }
}
