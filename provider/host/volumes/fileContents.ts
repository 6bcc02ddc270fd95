import { constants } from "node:fs";
import { type FileHandle, open, rm } from "node:fs/promises";
import { join } from "node:path";

/** Files of a volume that are kept open; opening one costs little. */
const maxOpen = 32;

/**
 * What the files of a volume hold, one file of the host each, by number. A file that holds nothing has none. The size
 * that counts is the tree's: a file may be longer after a crash, and is cut when it is next opened. One call at a time.
 */
export class FileContents {
  readonly #directory: string;
  /** In order of their last use. */
  readonly #open = new Map<number, Promise<FileHandle>>();

  constructor(directory: string) {
    this.#directory = directory;
  }

  /** Bytes from `offset`, at most up to `size`, the file's own; holes read as zeros. */
  async read(ino: number, offset: number, count: number, size: number): Promise<Buffer> {
    const bytes = Buffer.alloc(Math.max(0, Math.min(count, size - offset)));
    if (bytes.length === 0) return bytes;
    await this.#with(ino, size, (file) => file.read(bytes, 0, bytes.length, offset));
    return bytes;
  }

  async write(ino: number, offset: number, bytes: Uint8Array, size: number): Promise<void> {
    await this.#with(ino, size, async (file) => {
      for (let done = 0; done < bytes.length; ) {
        done += (await file.write(bytes, done, bytes.length - done, offset + done)).bytesWritten;
      }
    });
  }

  /** Cuts, or leaves a hole. */
  async resize(ino: number, oldSize: number, size: number): Promise<void> {
    await this.#with(ino, Math.min(oldSize, size), (file) => file.truncate(size));
  }

  async sync(ino: number, size: number): Promise<void> {
    await this.#with(ino, size, (file) => file.datasync());
  }

  /** Repeatable. */
  async remove(ino: number): Promise<void> {
    const file = this.#open.get(ino);
    this.#open.delete(ino);
    await file?.then((handle) => handle.close());
    await rm(this.#pathOf(ino), { force: true });
  }

  async close(): Promise<void> {
    const files = [...this.#open.values()];
    this.#open.clear();
    await Promise.all(files.map(async (file) => (await file).close()));
  }

  async #with(ino: number, size: number, work: (file: FileHandle) => Promise<unknown>): Promise<void> {
    const known = this.#open.get(ino);
    const file = known ?? this.#openFile(ino, size);
    this.#open.delete(ino);
    this.#open.set(ino, file);
    file.catch(() => this.#open.delete(ino));
    await work(await file);
    await this.#closeOldest();
  }

  async #openFile(ino: number, size: number): Promise<FileHandle> {
    const { O_RDWR, O_CREAT, O_NOFOLLOW } = constants;
    const file = await open(this.#pathOf(ino), O_RDWR | O_CREAT | O_NOFOLLOW, 0o600);
    if ((await file.stat()).size > size) await file.truncate(size);
    return file;
  }

  async #closeOldest(): Promise<void> {
    while (this.#open.size > maxOpen) {
      const [ino, file] = this.#open.entries().next().value as [number, Promise<FileHandle>];
      this.#open.delete(ino);
      await (await file).close();
    }
  }

  #pathOf(ino: number): string {
    return join(this.#directory, String(ino));
  }
}
