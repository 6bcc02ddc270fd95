import { randomUUID } from "node:crypto";
import { Readable } from "node:stream";
import { setImmediate as nextTurn } from "node:timers/promises";
import { SandboxesError } from "../../client/errors";
import { type FileAttributes, fileType, isDirectory, isRegular } from "./fileAttributes";
import { FileSystemError } from "./fileSystemError";
import type { VolumeFiles } from "./volumeFiles";
import { rootIno } from "./volumeTree";

const chunkBytes = 256 * 1024;
/** As many as of a directory of a sandbox. */
const defaultMaxItems = 100_000;
const listBatch = 256;
/** Made by nobody's program: root's, readable by all. */
const newFolder = { mode: fileType.directory | 0o755, uid: 0, gid: 0 };
const newFile = { mode: fileType.regular | 0o644, uid: 0, gid: 0 };

export interface VolumeItem {
  name: string;
  /** From the volume's root, with a slash at the beginning. */
  path: string;
  isDirectory: boolean;
  sizeBytes: number;
  modifiedMs: number;
  /** Another one after every change of the content. */
  etag: string;
}

/** As HTTP's headers say it; `*` is any file. */
export interface WriteConditions {
  ifMatch?: string;
  ifNoneMatch?: string;
  /** False: a file that is there is not replaced. */
  overwrite?: boolean;
}

/**
 * Files of a volume by their paths, for callers outside of guests. Links are told of and never followed: what they point
 * to is for the guest that made them. Throws `FileNotFound`, `FileConflict`, `TooLarge` (the volume is full), `Invalid`.
 */
export class VolumeAccess {
  readonly #files: VolumeFiles;
  readonly #maxItems: number;

  constructor(files: VolumeFiles, limits: { maxItems?: number } = {}) {
    this.#files = files;
    this.#maxItems = limits.maxItems ?? defaultMaxItems;
  }

  /** What is in a directory, or the file itself. Throws `TooLarge` for more than Azure's answer, which has no pages, should hold. */
  list(path: string): Promise<VolumeItem[]> {
    return this.#run(path, async () => {
      const { tree } = this.#files;
      const { ino, names } = this.#find(path);
      const found = tree.attributes(ino);
      if (!isDirectory(found)) return [itemOf(names, found)];
      const items: VolumeItem[] = [];
      for (let after = 0; ; ) {
        const batch = tree.entries(ino, after, listBatch);
        for (const { name, ino: child, cookie } of batch) {
          items.push(itemOf([...names, Buffer.from(name)], tree.attributes(child)));
          after = cookie;
        }
        if (items.length > this.#maxItems) throw tooMany(path, this.#maxItems);
        if (batch.length < listBatch) return items;
        await nextTurn();
      }
    });
  }

  /** The content as it is when each part of it is read; a file that is removed meanwhile is still read to its end. */
  async read(path: string): Promise<{ item: VolumeItem; content: Readable }> {
    const reader = `reader:${randomUUID()}`;
    const item = await this.#run(path, async () => {
      const { ino, names } = this.#find(path);
      const file = this.#files.tree.attributes(ino);
      if (!isRegular(file)) throw new FileSystemError(isDirectory(file) ? "EISDIR" : "EINVAL");
      this.#files.attach(reader, true);
      this.#files.opened(reader, ino);
      return { ...itemOf(names, file), ino };
    });
    const content = Readable.from(this.#chunks(path, item.ino));
    // Also of one that nobody begins to read.
    content.once("close", () => void this.#leave(reader));
    return { item, content };
  }

  /** The whole file or nothing; missing directories are made. Answers what it is now. */
  async write(path: string, source: AsyncIterable<Uint8Array>, conditions: WriteConditions = {}): Promise<VolumeItem> {
    const { tree, contents } = this.#files;
    const names = namesOf(path);
    if (names.length === 0) throw failure(path, new FileSystemError("EISDIR"));
    const writer = `writer:${randomUUID()}`;
    // Looked at now, so that nobody sends a large file for nothing, and again when it is there.
    const ino = await this.#run(path, async () => {
      this.#checkConditions(names, conditions);
      const made = tree.makeNameless(newFile);
      this.#files.attach(writer, true);
      this.#files.opened(writer, made);
      return made;
    });
    try {
      let end = 0;
      for await (const bytes of source) {
        await this.#run(path, async () => {
          this.#files.room.check();
          tree.checkRoom(ino, end + bytes.length);
          await contents.write(ino, end, bytes, end);
          end += bytes.length;
          tree.wrote(ino, end);
        });
      }
      return await this.#run(path, async () => {
        await this.#files.sync(ino);
        this.#checkConditions(names, conditions);
        const orphan = tree.publish(ino, this.#folder(names.slice(0, -1)), names.at(-1) as Buffer);
        if (orphan !== undefined) await this.#files.orphaned(orphan);
        await this.#files.sync();
        return itemOf(names, tree.attributes(ino));
      });
    } finally {
      await this.#leave(writer);
    }
  }

  /** With its parents; one that is there is left as it is. */
  mkdir(path: string): Promise<void> {
    return this.#run(path, async () => {
      this.#folder(namesOf(path));
      await this.#files.sync();
    });
  }

  /** A file, or a directory with all in it. */
  remove(path: string): Promise<void> {
    return this.#run(path, async () => {
      const { names } = this.#find(path);
      const name = names.at(-1);
      if (!name) throw new FileSystemError("EPERM");
      await this.#remove(this.#find(names.slice(0, -1)).ino, name);
      await this.#files.sync();
    });
  }

  async *#chunks(path: string, ino: number): AsyncGenerator<Buffer> {
    const { tree, contents } = this.#files;
    for (let at = 0; ; ) {
      const bytes = await this.#run(path, () => contents.read(ino, at, chunkBytes, tree.attributes(ino).size));
      if (bytes.length === 0) return;
      at += bytes.length;
      yield bytes;
    }
  }

  /** The volume may have been removed meanwhile, and all its files with it. */
  async #leave(mount: string): Promise<void> {
    await this.#files.detach(mount).catch((error: unknown) => {
      if (!(error instanceof FileSystemError)) throw error;
    });
  }

  /** Without recursion, and with breath between: a guest may have made it deep and large. */
  async #remove(parent: number, name: Buffer): Promise<void> {
    const { tree } = this.#files;
    const waiting = [{ parent, name }];
    for (let next = waiting.at(-1), count = 1; next; next = waiting.at(-1), count++) {
      if (count % listBatch === 0) await nextTurn();
      const file = tree.lookup(next.parent, next.name);
      const [inside] = isDirectory(file) ? tree.entries(file.ino, 0, 1) : [];
      if (inside) {
        waiting.push({ parent: file.ino, name: Buffer.from(inside.name) });
        continue;
      }
      waiting.pop();
      if (isDirectory(file)) tree.removeDirectory(next.parent, next.name);
      else {
        const { ino, last } = tree.unlink(next.parent, next.name);
        if (last) await this.#files.orphaned(ino);
      }
    }
  }

  #find(path: string | Buffer[]): { ino: number; names: Buffer[] } {
    const names = typeof path === "string" ? namesOf(path) : path;
    let ino = rootIno;
    for (const name of names) ino = this.#files.tree.lookup(ino, name).ino;
    return { ino, names };
  }

  /** Number of a directory, made with those above it where they are missing. */
  #folder(names: Buffer[]): number {
    const { tree } = this.#files;
    let ino = rootIno;
    for (const name of names) {
      const found = tree.find(ino, name) ?? tree.make(ino, name, newFolder);
      if (!isDirectory(found)) throw new FileSystemError("ENOTDIR");
      ino = found.ino;
    }
    return ino;
  }

  #checkConditions(names: Buffer[], { ifMatch, ifNoneMatch, overwrite }: WriteConditions): void {
    const { tree } = this.#files;
    let file: FileAttributes | undefined = tree.attributes(rootIno);
    for (const name of names) file = file && tree.find(file.ino, name);
    if (file && isDirectory(file)) throw new FileSystemError("EISDIR");
    if (file && overwrite === false) throw new FileSystemError("EEXIST");
    const matches = (header: string) => file !== undefined && (header === "*" || listed(header).includes(etagOf(file)));
    if (ifMatch !== undefined && !matches(ifMatch)) throw preconditionFailed(names, "If-Match");
    if (ifNoneMatch !== undefined && matches(ifNoneMatch)) throw preconditionFailed(names, "If-None-Match");
  }

  async #run<Result>(path: string, work: () => Promise<Result>): Promise<Result> {
    try {
      return await this.#files.run(work);
    } catch (error) {
      throw error instanceof FileSystemError ? failure(path, error) : error;
    }
  }
}

function namesOf(path: string): Buffer[] {
  const names = path.split("/").filter((name) => name !== "");
  if (path.includes("\0") || names.includes(".") || names.includes("..")) {
    throw new SandboxesError("Invalid", `The path "${path}" is not plain: no . or .. in it`, { field: "path" });
  }
  return names.map((name) => Buffer.from(name));
}

function itemOf(names: Buffer[], file: FileAttributes): VolumeItem {
  return {
    name: (names.at(-1) ?? Buffer.alloc(0)).toString(),
    path: pathOf(names),
    isDirectory: isDirectory(file),
    sizeBytes: file.size,
    modifiedMs: Math.floor(file.mtime / 1000),
    etag: etagOf(file),
  };
}

function pathOf(names: Buffer[]): string {
  return `/${Buffer.concat(names.flatMap((name, at) => (at === 0 ? [name] : [Buffer.from("/"), name]))).toString()}`;
}

function etagOf({ ino, mtime, size }: FileAttributes): string {
  return `"${ino.toString(36)}-${mtime.toString(36)}-${size.toString(36)}"`;
}

function listed(header: string): string[] {
  return header.split(",").map((tag) => tag.trim());
}

function preconditionFailed(names: Buffer[], header: string): SandboxesError {
  return new SandboxesError("Conflict", `The file "${pathOf(names)}" is not what ${header} says`, {
    status: 412,
    serviceCode: "PreconditionFailed",
    hint: "read it again, and decide anew",
  });
}

function failure(path: string, { message: name }: FileSystemError): SandboxesError {
  const say = (why: string) => `The path "${path}" of the volume ${why}`;
  const field = "path";
  if (name === "ENOENT" || name === "ESTALE") return new SandboxesError("FileNotFound", say("does not exist"));
  if (name === "EEXIST") return new SandboxesError("FileConflict", say("exists"), { field });
  if (name === "EISDIR") return new SandboxesError("FileConflict", say("is a directory"), { field });
  if (name === "ENOTDIR") return new SandboxesError("FileConflict", say("leads through a file"), { field });
  if (name === "ENOSPC") {
    const hint = "make the volume larger, or remove files";
    return new SandboxesError("TooLarge", say("does not fit: the volume is full"), { hint });
  }
  if (name === "ENAMETOOLONG")
    return new SandboxesError("Invalid", say("has a name of more than 255 bytes"), { field });
  return new SandboxesError("Invalid", say(`is no file to do that with (${name})`), { field });
}

function tooMany(path: string, most: number): SandboxesError {
  return new SandboxesError("TooLarge", `Cannot list "${path}": it has more than ${most} entries`, {
    hint: "list the directories in it, or look from a sandbox that has the volume",
  });
}
