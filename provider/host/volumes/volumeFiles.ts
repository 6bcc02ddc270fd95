import { constants, mkdirSync } from "node:fs";
import { copyFile, mkdir, open, readdir } from "node:fs/promises";
import { join } from "node:path";
import { Serial } from "../services/serial";
import { FileContents } from "./fileContents";
import { FileSystemError } from "./fileSystemError";
import { HostRoom } from "./hostRoom";
import { VolumeTree } from "./volumeTree";

const contentsName = "contents";
const treeName = "tree.db";
/** Different files that one guest may have open at a time; kernels of small machines do not know as many. */
const defaultMaxOpen = 65_536;

/** What is known of one sandbox's use of a volume. */
interface MountState {
  /** How often the guest has each file open. */
  opens: Map<number, number>;
  /** False for a guest that was here before this process: it may have anything open. */
  complete: boolean;
}

/**
 * The files of one volume, for all sandboxes that have it mounted. Work on it is done one piece after the other, so
 * that every sandbox sees every change whole.
 */
export class VolumeFiles {
  readonly tree: VolumeTree;
  readonly contents: FileContents;
  readonly room: HostRoom;
  readonly #maxOpen: number;
  readonly #directory: string;
  readonly #journal: string;
  readonly #mounts = new Map<string, MountState>();
  readonly #serial = new Serial();
  #closed = false;

  /** Makes the directory if it is not there. */
  constructor(directory: string, limitBytes: number, limits: { room?: HostRoom; maxOpen?: number } = {}) {
    this.room = limits.room ?? new HostRoom(directory);
    this.#maxOpen = limits.maxOpen ?? defaultMaxOpen;
    const contents = join(directory, contentsName);
    mkdirSync(contents, { recursive: true, mode: 0o700 });
    this.tree = new VolumeTree(join(directory, treeName), limitBytes);
    this.contents = new FileContents(contents);
    this.#directory = directory;
    this.#journal = join(directory, `${treeName}-wal`);
  }

  /** Throws `ESTALE` after `close`. */
  run<Result>(work: () => Promise<Result>): Promise<Result> {
    return this.#serial.run("", async () => {
      if (this.#closed) throw new FileSystemError("ESTALE");
      return work();
    });
  }

  /** After a restart: these sandboxes had it, and may have any of its files open. */
  reopen(mounts: string[]): Promise<void> {
    for (const mount of mounts) this.attach(mount, false);
    return this.run(async () => {
      this.tree.dropAnswersExcept(mounts);
      for (const ino of this.tree.nameless()) await this.#forgetUnlessOpen(ino);
    });
  }

  /** A guest begins to use it or, with `fresh`, to use it anew: nothing of its earlier use is left. */
  attach(mount: string, fresh: boolean): void {
    if (fresh) this.tree.dropAnswers(mount);
    if (fresh || !this.#mounts.has(mount)) this.#mounts.set(mount, { opens: new Map(), complete: fresh });
  }

  /** A guest is gone for good. Repeatable. */
  detach(mount: string): Promise<void> {
    return this.run(async () => {
      this.#mounts.delete(mount);
      this.tree.dropAnswers(mount);
      for (const ino of this.tree.nameless()) await this.#forgetUnlessOpen(ino);
    });
  }

  /** Throws `ENFILE` for a guest that has too many files open to open another one. */
  checkOpens(mount: string): void {
    if ((this.#mounts.get(mount)?.opens.size ?? 0) >= this.#maxOpen) throw new FileSystemError("ENFILE");
  }

  opened(mount: string, ino: number): void {
    const opens = this.#mounts.get(mount)?.opens;
    opens?.set(ino, (opens.get(ino) ?? 0) + 1);
  }

  async released(mount: string, ino: number): Promise<void> {
    const opens = this.#mounts.get(mount)?.opens;
    const left = (opens?.get(ino) ?? 0) - 1;
    if (left > 0) opens?.set(ino, left);
    else {
      opens?.delete(ino);
      if (this.tree.isNameless(ino)) await this.#forgetUnlessOpen(ino);
    }
  }

  /** A file has lost its last name. */
  async orphaned(ino: number): Promise<void> {
    await this.#forgetUnlessOpen(ino);
  }

  /** Everything that was answered until now is on disk when it resolves. */
  async sync(ino?: number): Promise<void> {
    if (ino !== undefined) await this.contents.sync(ino, this.tree.attributes(ino).size);
    // The journal holds all that was committed and is not in the database yet; it is read after a crash.
    const journal = await open(this.#journal, "r").catch((error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return undefined;
      throw error;
    });
    try {
      await journal?.datasync();
    } finally {
      await journal?.close();
    }
  }

  /** A copy as of now, into an empty directory; it shares its blocks with this one where the file system can. */
  copyTo(directory: string): Promise<void> {
    return this.run(async () => {
      const to = join(directory, contentsName);
      await mkdir(to, { recursive: true, mode: 0o700 });
      const from = join(this.#directory, contentsName);
      for (const name of await readdir(from)) {
        await copyFile(join(from, name), join(to, name), constants.COPYFILE_FICLONE);
      }
      // The tree last: with it, the copy is whole.
      this.tree.copyTo(join(directory, treeName));
    });
  }

  close(): Promise<void> {
    return this.run(async () => {
      this.#closed = true;
      await this.contents.close();
      this.tree.close();
    });
  }

  async #forgetUnlessOpen(ino: number): Promise<void> {
    for (const { opens, complete } of this.#mounts.values()) if (!complete || opens.has(ino)) return;
    // In this order: what a process that ends in between leaves is found again.
    await this.contents.remove(ino);
    this.tree.forget(ino);
  }
}
