import { DatabaseSync, type StatementSync } from "node:sqlite";
import {
  type FileAttributes,
  fileType,
  isDirectory,
  isRegular,
  type NewFile,
  nowMicros,
  permissionMask,
  setGroupId,
} from "./fileAttributes";
import { FileSystemError } from "./fileSystemError";

/** The root directory's number. */
export const rootIno = 1;

const maxNameBytes = 255;
const maxTargetBytes = 4095;
/** A volume has room for one name for so many of its bytes, so that one of empty files or links ends, too. */
const bytesPerName = 4096;
/** A volume of the smallest size still takes some, and the largest one not more than are counted in a moment. */
const names = { atLeast: 1024, atMost: 4 * 2 ** 20 };
/** Directories within each other that a move looks through; a path that programs can use is not that deep. */
const maxDepth = 2048;
/** So many changes back an answer that was lost with a connection is still known; a guest has far fewer under way. */
const rememberedAnswers = 2048;
const answersPerSweep = 256;

const schema = `
  CREATE TABLE files (ino INTEGER PRIMARY KEY AUTOINCREMENT, mode INTEGER NOT NULL, uid INTEGER NOT NULL,
    gid INTEGER NOT NULL, nlink INTEGER NOT NULL, size INTEGER NOT NULL, atime INTEGER NOT NULL, mtime INTEGER NOT NULL,
    ctime INTEGER NOT NULL, target BLOB) STRICT;
  CREATE TABLE names (cookie INTEGER PRIMARY KEY AUTOINCREMENT, parent INTEGER NOT NULL, name BLOB NOT NULL,
    ino INTEGER NOT NULL, UNIQUE (parent, name)) STRICT;
  CREATE TABLE answers (place INTEGER PRIMARY KEY AUTOINCREMENT, mount TEXT NOT NULL, number INTEGER NOT NULL,
    answer BLOB NOT NULL, UNIQUE (mount, number)) STRICT;
  CREATE INDEX remembered ON answers (mount, place);
  CREATE INDEX nameless ON files (ino) WHERE nlink = 0;
  CREATE INDEX listed ON names (parent, cookie);
  CREATE INDEX places ON names (ino);
  PRAGMA user_version = 1;`;

export interface DirectoryEntry {
  name: Uint8Array;
  ino: number;
  mode: number;
  /** Where a reader goes on behind it. */
  cookie: number;
}

export interface AttributeChange {
  mode?: number;
  uid?: number;
  gid?: number;
  size?: number;
  atime?: number;
  mtime?: number;
}

/**
 * Names and attributes of a volume's files in a database of its own. Nothing of what a guest says becomes a path on the
 * host: files have numbers, which are never used twice. Each method is one transaction; contents are elsewhere.
 */
export class VolumeTree {
  readonly #database: DatabaseSync;
  #limitBytes: number;
  readonly #statements = new Map<string, StatementSync>();
  #usedBytes: number;
  #names: number;
  /** All but the root; those without a name, too, which somebody has open. */
  #files: number;
  /** Remembered since the last time that old ones were dropped, by mount. */
  readonly #answers = new Map<string, number>();

  constructor(path: string, limitBytes: number) {
    this.#database = new DatabaseSync(path);
    this.#database.exec("PRAGMA locking_mode = EXCLUSIVE; PRAGMA journal_mode = WAL; PRAGMA synchronous = NORMAL;");
    this.#limitBytes = limitBytes;
    const { user_version } = this.#database.prepare("PRAGMA user_version").get() as { user_version: number };
    if (user_version === 0) {
      this.#transact(() => {
        this.#database.exec(schema);
        this.#insert({ mode: fileType.directory | 0o777, uid: 0, gid: 0 }, { nlink: 2 });
      });
    }
    this.#names = Number(this.#one("SELECT count(*) AS n FROM names")?.n);
    const files = this.#one("SELECT count(*) AS n, coalesce(sum(size), 0) AS bytes FROM files");
    this.#files = Number(files?.n) - 1;
    this.#usedBytes = Number(files?.bytes);
  }

  close(): void {
    this.#statements.clear();
    this.#database.close();
  }

  /** For a volume that became larger. */
  setLimit(bytes: number): void {
    this.#limitBytes = bytes;
  }

  /** Sizes of files count in full, holes in them too. */
  get usage(): { limitBytes: number; usedBytes: number; names: number; maxNames: number } {
    const maxNames = Math.min(names.atMost, Math.max(names.atLeast, Math.floor(this.#limitBytes / bytesPerName)));
    return {
      limitBytes: this.#limitBytes,
      usedBytes: this.#usedBytes,
      names: Math.max(this.#names, this.#files),
      maxNames,
    };
  }

  /** Throws `ESTALE` for a file that is gone. */
  attributes(ino: number): FileAttributes {
    const columns = "ino, mode, uid, gid, nlink, size, atime, mtime, ctime";
    const row = this.#one(`SELECT ${columns} FROM files WHERE ino = ?`, ino);
    if (!row) throw new FileSystemError("ESTALE");
    return row as unknown as FileAttributes;
  }

  lookup(parent: number, name: Uint8Array): FileAttributes {
    const file = this.find(parent, name);
    if (!file) throw new FileSystemError("ENOENT");
    return file;
  }

  /** As `lookup`; undefined where there is none. */
  find(parent: number, name: Uint8Array): FileAttributes | undefined {
    const ino = this.#inoOf(parent, name);
    return ino === undefined ? undefined : this.attributes(ino);
  }

  target(ino: number): Uint8Array {
    const row = this.#one("SELECT target FROM files WHERE ino = ?", ino);
    if (!(row?.target instanceof Uint8Array)) throw new FileSystemError("EINVAL");
    return row.target;
  }

  /** At most `count` entries behind a cookie, without `.` and `..`. */
  entries(ino: number, after: number, count: number): DirectoryEntry[] {
    const sql = `SELECT names.name, names.ino, names.cookie, files.mode FROM names JOIN files ON files.ino = names.ino
      WHERE parent = ? AND cookie > ? ORDER BY cookie LIMIT ?`;
    return this.#prepare(sql).all(ino, after, count) as unknown as DirectoryEntry[];
  }

  /** The directory a directory lies in; the root lies in itself. */
  parentOf(ino: number): number {
    return Number(this.#one("SELECT parent FROM names WHERE ino = ? LIMIT 1", ino)?.parent ?? rootIno);
  }

  make(parent: number, name: Uint8Array, file: NewFile, target?: Uint8Array): FileAttributes {
    if (target && (target.length === 0 || target.length > maxTargetBytes)) throw new FileSystemError("ENAMETOOLONG");
    return this.#transact(() => {
      const directory = this.#directory(parent);
      this.#checkFree(parent, name);
      const isFolder = isDirectory(file);
      const inherits = (directory.mode & setGroupId) !== 0;
      const gid = inherits ? directory.gid : file.gid;
      const mode = inherits && isFolder ? file.mode | setGroupId : file.mode;
      const size = target?.length ?? 0;
      if (this.#files >= this.usage.maxNames) throw new FileSystemError("ENOSPC");
      if (this.#usedBytes + size > this.#limitBytes) throw new FileSystemError("ENOSPC");
      const ino = this.#insert({ ...file, mode, gid }, { nlink: isFolder ? 2 : 1, size, target });
      this.#addName(parent, name, ino);
      if (isFolder) this.#addLinks(parent, 1);
      this.#usedBytes += size;
      return this.attributes(ino);
    });
  }

  link(ino: number, parent: number, name: Uint8Array): FileAttributes {
    return this.#transact(() => {
      const file = this.attributes(ino);
      if (isDirectory(file)) throw new FileSystemError("EPERM");
      if (file.nlink === 0) throw new FileSystemError("ENOENT");
      this.#directory(parent);
      this.#checkFree(parent, name);
      this.#addName(parent, name, ino);
      this.#addLinks(ino, 1);
      return this.attributes(ino);
    });
  }

  /** A file without a name, which `publish` gives it once it is whole. */
  makeNameless(file: NewFile): number {
    return this.#transact(() => this.#insert(file, { nlink: 0 }));
  }

  /** Gives a nameless file its name, in the place of a file that has it. Returns the file that lost its last name. */
  publish(ino: number, parent: number, name: Uint8Array): number | undefined {
    return this.#transact(() => {
      this.#directory(parent);
      checkName(name);
      const old = this.find(parent, name);
      if (old && isDirectory(old)) throw new FileSystemError("EISDIR");
      const isForgotten = old !== undefined && this.#removeName(parent, name, old).last;
      this.#addName(parent, name, ino);
      this.#addLinks(ino, 1);
      return isForgotten ? old.ino : undefined;
    });
  }

  /** Takes a name off a file; true if it was the last one, and the file is to be forgotten once nobody has it open. */
  unlink(parent: number, name: Uint8Array): { ino: number; last: boolean } {
    return this.#transact(() => {
      const file = this.lookup(parent, name);
      if (isDirectory(file)) throw new FileSystemError("EISDIR");
      return this.#removeName(parent, name, file);
    });
  }

  removeDirectory(parent: number, name: Uint8Array): void {
    this.#transact(() => {
      const folder = this.lookup(parent, name);
      if (!isDirectory(folder)) throw new FileSystemError("ENOTDIR");
      if (this.entries(folder.ino, 0, 1).length > 0) throw new FileSystemError("ENOTEMPTY");
      this.#removeName(parent, name, folder);
    });
  }

  /** As `rename(2)`; `noReplace` and `exchange` as `renameat2(2)`. Returns the file that lost its last name. */
  rename(
    from: { parent: number; name: Uint8Array },
    to: { parent: number; name: Uint8Array },
    how: { noReplace?: boolean; exchange?: boolean } = {},
  ): number | undefined {
    return this.#transact(() => {
      const file = this.lookup(from.parent, from.name);
      this.#directory(to.parent);
      checkName(to.name);
      const there = this.#inoOf(to.parent, to.name);
      if (there === file.ino) return undefined;
      if (isDirectory(file) && this.#isWithin(to.parent, file.ino)) throw new FileSystemError("EINVAL");
      if (how.exchange) {
        if (there === undefined) throw new FileSystemError("ENOENT");
        const other = this.attributes(there);
        if (isDirectory(other) && this.#isWithin(from.parent, other.ino)) throw new FileSystemError("EINVAL");
        this.#dropName(from.parent, from.name, file);
        this.#dropName(to.parent, to.name, other);
        this.#putName(to.parent, to.name, file);
        this.#putName(from.parent, from.name, other);
        return undefined;
      }
      let forgotten: number | undefined;
      if (there !== undefined) {
        if (how.noReplace) throw new FileSystemError("EEXIST");
        const old = this.attributes(there);
        if (isDirectory(old) && !isDirectory(file)) throw new FileSystemError("EISDIR");
        if (!isDirectory(old) && isDirectory(file)) throw new FileSystemError("ENOTDIR");
        if (isDirectory(old) && this.entries(there, 0, 1).length > 0) throw new FileSystemError("ENOTEMPTY");
        if (this.#removeName(to.parent, to.name, old).last && !isDirectory(old)) forgotten = there;
      }
      this.#dropName(from.parent, from.name, file);
      this.#putName(to.parent, to.name, file);
      this.#run("UPDATE files SET ctime = ? WHERE ino = ?", nowMicros(), file.ino);
      return forgotten;
    });
  }

  /** Sets attributes; a larger size needs room (`ENOSPC`). */
  change(ino: number, change: AttributeChange): FileAttributes {
    return this.#transact(() => {
      const old = this.attributes(ino);
      const now = nowMicros();
      const { size } = change;
      if (size !== undefined && size !== old.size) {
        if (!isRegular(old)) throw new FileSystemError(isDirectory(old) ? "EISDIR" : "EINVAL");
        this.#resize(old, size);
      }
      const mtime = change.mtime ?? (size === undefined ? old.mtime : now);
      const mode = change.mode === undefined ? old.mode : (old.mode & fileType.mask) | (change.mode & permissionMask);
      this.#run(
        "UPDATE files SET mode = ?, uid = ?, gid = ?, atime = ?, mtime = ?, ctime = ? WHERE ino = ?",
        ...[mode, change.uid ?? old.uid, change.gid ?? old.gid, change.atime ?? old.atime, mtime, now, ino],
      );
      return this.attributes(ino);
    });
  }

  /** Bytes up to `end` will be written: makes room for them, or throws `ENOSPC`. The size is set by `wrote`. */
  checkRoom(ino: number, end: number): void {
    const file = this.attributes(ino);
    if (!isRegular(file)) throw new FileSystemError("EINVAL");
    const growth = Math.max(0, end - file.size);
    if (this.#usedBytes + growth > this.#limitBytes) throw new FileSystemError("ENOSPC");
  }

  /** Bytes up to `end` have been written. */
  wrote(ino: number, end: number): void {
    this.#transact(() => {
      const file = this.attributes(ino);
      if (end > file.size) this.#resize(file, end);
      const now = nowMicros();
      this.#run("UPDATE files SET mtime = ?, ctime = ? WHERE ino = ?", now, now, ino);
    });
  }

  /** Drops a file without names. Repeatable. */
  forget(ino: number): void {
    this.#transact(() => {
      const row = this.#one("SELECT size FROM files WHERE ino = ? AND nlink = 0", ino);
      if (!row) return;
      this.#run("DELETE FROM files WHERE ino = ?", ino);
      this.#files -= 1;
      this.#usedBytes -= Number(row.size);
    });
  }

  /** True for a file that is there without a name. */
  isNameless(ino: number): boolean {
    return this.#one("SELECT 1 FROM files WHERE ino = ? AND nlink = 0", ino) !== undefined;
  }

  /** Files without names: somebody had them open when they lost their last one. */
  nameless(): number[] {
    return this.#prepare("SELECT ino FROM files WHERE nlink = 0")
      .all()
      .map(({ ino }) => Number(ino));
  }

  /** Runs a change together with remembering what was answered to it: a question that is asked again finds it. */
  once(mount: string, number: number, work: () => Uint8Array): Uint8Array {
    const known = this.#one("SELECT answer FROM answers WHERE mount = ? AND number = ?", mount, number);
    if (known) return known.answer as Uint8Array;
    return this.#transact(() => {
      const answer = work();
      const sql = "INSERT INTO answers (mount, number, answer) VALUES (?, ?, ?)";
      this.#run(sql, mount, number, answer);
      this.#dropOldAnswers(mount);
      return answer;
    });
  }

  /** Drops remembered answers of all mounts but these. */
  dropAnswersExcept(mounts: string[]): void {
    const rows = this.#prepare("SELECT DISTINCT mount FROM answers").all();
    for (const { mount } of rows) if (!mounts.includes(String(mount))) this.dropAnswers(String(mount));
  }

  dropAnswers(mount: string): void {
    this.#answers.delete(mount);
    this.#run("DELETE FROM answers WHERE mount = ?", mount);
  }

  /** By the order in which they were given: numbers are the guest's to choose. */
  #dropOldAnswers(mount: string): void {
    const count = (this.#answers.get(mount) ?? 0) + 1;
    this.#answers.set(mount, count % answersPerSweep);
    if (count < answersPerSweep) return;
    const newest = "SELECT place FROM answers WHERE mount = ? ORDER BY place DESC LIMIT 1 OFFSET ?";
    this.#run(`DELETE FROM answers WHERE mount = ? AND place <= (${newest})`, mount, mount, rememberedAnswers);
  }

  /** A copy as of now, into a file that is not there yet. */
  copyTo(path: string): void {
    this.#run("VACUUM INTO ?", path);
  }

  #insert(file: NewFile, more: { nlink: number; size?: number; target?: Uint8Array }): number {
    const now = nowMicros();
    const sql =
      "INSERT INTO files (mode, uid, gid, nlink, size, atime, mtime, ctime, target) VALUES (?,?,?,?,?,?,?,?,?)";
    this.#files += 1;
    const values = [file.mode, file.uid, file.gid, more.nlink, more.size ?? 0, now, now, now, more.target ?? null];
    return Number(this.#prepare(sql).run(...values).lastInsertRowid);
  }

  #resize(file: FileAttributes, size: number): void {
    const growth = size - file.size;
    if (growth > 0 && this.#usedBytes + growth > this.#limitBytes) throw new FileSystemError("ENOSPC");
    this.#run("UPDATE files SET size = ? WHERE ino = ?", size, file.ino);
    this.#usedBytes += growth;
  }

  #removeName(parent: number, name: Uint8Array, file: FileAttributes): { ino: number; last: boolean } {
    this.#dropName(parent, name, file);
    const isFolder = isDirectory(file);
    const left = isFolder ? 0 : file.nlink - 1;
    this.#run("UPDATE files SET nlink = ?, ctime = ? WHERE ino = ?", left, nowMicros(), file.ino);
    // A directory without a name has nothing in it, and who has it open learns that it is gone.
    if (isFolder) this.forget(file.ino);
    return { ino: file.ino, last: left === 0 };
  }

  #dropName(parent: number, name: Uint8Array, file: FileAttributes): void {
    this.#run("DELETE FROM names WHERE parent = ? AND name = ?", parent, name);
    this.#names -= 1;
    this.#touch(parent);
    if (isDirectory(file)) this.#addLinks(parent, -1);
  }

  #putName(parent: number, name: Uint8Array, file: FileAttributes): void {
    this.#addName(parent, name, file.ino);
    if (isDirectory(file)) this.#addLinks(parent, 1);
  }

  #addName(parent: number, name: Uint8Array, ino: number): void {
    if (this.#names >= this.usage.maxNames) throw new FileSystemError("ENOSPC");
    this.#names += 1;
    this.#run("INSERT INTO names (parent, name, ino) VALUES (?, ?, ?)", parent, name, ino);
    this.#touch(parent);
  }

  #touch(ino: number): void {
    const now = nowMicros();
    this.#run("UPDATE files SET mtime = ?, ctime = ? WHERE ino = ?", now, now, ino);
  }

  #addLinks(ino: number, count: number): void {
    this.#run("UPDATE files SET nlink = nlink + ?, ctime = ? WHERE ino = ?", count, nowMicros(), ino);
  }

  #directory(ino: number): FileAttributes {
    const file = this.attributes(ino);
    if (!isDirectory(file)) throw new FileSystemError("ENOTDIR");
    return file;
  }

  #checkFree(parent: number, name: Uint8Array): void {
    checkName(name);
    if (this.#inoOf(parent, name) !== undefined) throw new FileSystemError("EEXIST");
  }

  #inoOf(parent: number, name: Uint8Array): number | undefined {
    const row = this.#one("SELECT ino FROM names WHERE parent = ? AND name = ?", parent, name);
    return row && Number(row.ino);
  }

  /** Whether `ino` is `above` or lies in it. */
  #isWithin(ino: number, above: number): boolean {
    let at = ino;
    for (let depth = 0; at !== rootIno; depth++) {
      if (at === above) return true;
      if (depth === maxDepth) throw new FileSystemError("ELOOP");
      at = this.parentOf(at);
    }
    return above === rootIno;
  }

  #transact<Result>(work: () => Result): Result {
    if (this.#database.isTransaction) return work();
    const before = { used: this.#usedBytes, names: this.#names, files: this.#files };
    this.#database.exec("BEGIN");
    try {
      const result = work();
      this.#database.exec("COMMIT");
      return result;
    } catch (error) {
      if (this.#database.isTransaction) this.#database.exec("ROLLBACK");
      this.#usedBytes = before.used;
      this.#names = before.names;
      this.#files = before.files;
      throw error;
    }
  }

  #one(sql: string, ...values: (number | string | Uint8Array)[]): Record<string, unknown> | undefined {
    return this.#prepare(sql).get(...values);
  }

  #run(sql: string, ...values: (number | string | Uint8Array)[]): void {
    this.#prepare(sql).run(...values);
  }

  #prepare(sql: string): StatementSync {
    let statement = this.#statements.get(sql);
    if (!statement) {
      statement = this.#database.prepare(sql);
      this.#statements.set(sql, statement);
    }
    return statement;
  }
}

function checkName(name: Uint8Array): void {
  if (name.length > maxNameBytes) throw new FileSystemError("ENAMETOOLONG");
  const text = Buffer.from(name).toString("latin1");
  if (name.length === 0 || text === "." || text === ".." || /[/\0]/.test(text)) throw new FileSystemError("EINVAL");
}
