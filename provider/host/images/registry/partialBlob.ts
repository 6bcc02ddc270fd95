import { createHash, type Hash } from "node:crypto";
import { type FileHandle, open, rename, rm } from "node:fs/promises";

const readBytes = 1024 * 1024;

/** A blob on its way to a file: `PATH.part` until it is whole. What is there already is taken up again. */
export class PartialBlob {
  readonly #path: string;
  readonly #file: FileHandle;
  #hash: Hash;
  #size: number;

  private constructor(path: string, file: FileHandle, hash: Hash, size: number) {
    this.#path = path;
    this.#file = file;
    this.#hash = hash;
    this.#size = size;
  }

  /** Of a former part of more than `maxBytes` nothing is kept. */
  static async open(path: string, maxBytes: number): Promise<PartialBlob> {
    const file = await open(`${path}.part`, "a+", 0o600);
    const blob = new PartialBlob(path, file, createHash("sha256"), 0);
    for (;;) {
      const { buffer, bytesRead } = await file.read(Buffer.alloc(readBytes), 0, readBytes, blob.#size);
      if (bytesRead === 0) break;
      blob.#hash.update(buffer.subarray(0, bytesRead));
      blob.#size += bytesRead;
    }
    if (blob.#size > maxBytes) await blob.startAnew();
    return blob;
  }

  get size(): number {
    return this.#size;
  }

  /** `sha256:…` of what is there. */
  get digest(): string {
    return `sha256:${this.#hash.copy().digest("hex")}`;
  }

  async append(chunk: Buffer): Promise<void> {
    await this.#file.write(chunk);
    this.#hash.update(chunk);
    this.#size += chunk.length;
  }

  async startAnew(): Promise<void> {
    await this.#file.truncate();
    this.#hash = createHash("sha256");
    this.#size = 0;
  }

  /** Gives it its name. */
  async finish(): Promise<void> {
    await rename(`${this.#path}.part`, this.#path);
  }

  /** For a blob that no further byte can mend. */
  async discard(): Promise<void> {
    await rm(`${this.#path}.part`, { force: true });
  }

  close(): Promise<void> {
    return this.#file.close();
  }
}
