import { fileType, isDirectory, isRegular, permissionMask } from "./fileAttributes";
import { FileSystemError } from "./fileSystemError";
import {
  attributesBody,
  type CacheTimes,
  countBody,
  entryBody,
  initBody,
  type ListedEntry,
  listBody,
  maxWriteBytes,
  namesIn,
  openBody,
  protocolMajor,
  type Question,
  question,
  statfsBody,
} from "./fuseMessages";
import { readSetattr } from "./setattr";
import type { VolumeFiles } from "./volumeFiles";
import type { DirectoryEntry } from "./volumeTree";

/** One sandbox's mount of a volume. */
export interface VolumeMount {
  /** Tells it from all others, also from later ones: the sandbox's id. */
  id: string;
  files: VolumeFiles;
  readOnly: boolean;
  /** Nobody else writes to it: the guest may remember what it has read. */
  exclusive: boolean;
}

type Answer = (mount: VolumeMount, asked: Question) => Uint8Array | Promise<Uint8Array>;

const nothing = new Uint8Array(0);
/** Names that a listing looks at in one go. */
const listBatch = 256;
const openFlags = { exclusive: 0o200 };
const renameFlags = { noReplace: 1, exchange: 2 };
const fallocateKeepSize = 1;

/** The body of the answer to a question; throws a `FileSystemError`, `ENOSYS` for what is not known here. */
export async function bodyFor(mount: VolumeMount, asked: Question): Promise<Uint8Array> {
  const change = changes[asked.kind];
  if (change) {
    if (mount.readOnly) throw new FileSystemError("EROFS");
    if (growing.has(asked.kind)) mount.files.room.check();
    return change(mount, asked);
  }
  const read = reads[asked.kind];
  if (!read) throw new FileSystemError("ENOSYS");
  return read(mount, asked);
}

const reads: Record<number, Answer> = {
  [question.init]: (mount, { body }) => {
    if (body.readUInt32LE(0) !== protocolMajor) throw new FileSystemError("EPROTO");
    mount.files.attach(mount.id, true);
    return initBody({ readAhead: body.readUInt32LE(8), flags: body.readUInt32LE(12) });
  },
  [question.destroy]: () => nothing,
  [question.lookup]: (mount, { ino, body }) => {
    const [name] = names(body, 0, 1);
    return entryBody(mount.files.tree.lookup(ino, name as Buffer), times(mount));
  },
  [question.getattr]: (mount, { ino }) => attributesBody(mount.files.tree.attributes(ino), times(mount)),
  [question.readlink]: (mount, { ino }) => mount.files.tree.target(ino),
  [question.statfs]: (mount) => statfsBody(mount.files.tree.usage),
  [question.open]: (mount, { ino }) => {
    mount.files.checkOpens(mount.id);
    mount.files.tree.attributes(ino);
    mount.files.opened(mount.id, ino);
    return openBody(ino, mount.exclusive);
  },
  [question.release]: async (mount, { ino }) => {
    await mount.files.released(mount.id, ino);
    return nothing;
  },
  [question.read]: async (mount, { ino, body }) => {
    const offset = numberAt(body, 8);
    const count = Math.min(body.readUInt32LE(16), maxWriteBytes);
    const file = mount.files.tree.attributes(ino);
    if (!isRegular(file)) throw new FileSystemError(isDirectory(file) ? "EISDIR" : "EINVAL");
    return mount.files.contents.read(ino, offset, count, file.size);
  },
  [question.flush]: () => nothing,
  [question.fsync]: async (mount, { ino }) => {
    await mount.files.sync(ino);
    return nothing;
  },
  [question.fsyncdir]: async (mount) => {
    await mount.files.sync();
    return nothing;
  },
  [question.opendir]: (mount, { ino }) => {
    if (!isDirectory(mount.files.tree.attributes(ino))) throw new FileSystemError("ENOTDIR");
    return openBody(ino, false);
  },
  [question.releasedir]: () => nothing,
  [question.readdir]: (mount, { ino, body }) =>
    listBody(entries(mount, ino, numberAt(body, 8), false), listBytes(body), undefined),
  [question.readdirplus]: (mount, { ino, body }) =>
    listBody(entries(mount, ino, numberAt(body, 8), true), listBytes(body), times(mount)),
};

const changes: Record<number, Answer> = {
  [question.setattr]: async (mount, { ino, body }) => {
    const { tree, contents } = mount.files;
    const change = readSetattr(body);
    if (change.size !== undefined && !Number.isSafeInteger(change.size)) throw new FileSystemError("EFBIG");
    const old = tree.attributes(ino);
    const file = tree.change(ino, change);
    if (file.size !== old.size) await contents.resize(ino, old.size, file.size);
    return attributesBody(file, times(mount));
  },
  [question.write]: async (mount, { ino, body }) => {
    const { tree, contents } = mount.files;
    const offset = numberAt(body, 8);
    const bytes = body.subarray(40, 40 + body.readUInt32LE(16));
    const end = offset + bytes.length;
    if (!Number.isSafeInteger(end)) throw new FileSystemError("EFBIG");
    tree.checkRoom(ino, end);
    await contents.write(ino, offset, bytes, tree.attributes(ino).size);
    tree.wrote(ino, end);
    return countBody(bytes.length);
  },
  [question.fallocate]: async (mount, { ino, body }) => {
    const { tree, contents } = mount.files;
    const end = numberAt(body, 8) + numberAt(body, 16);
    const mode = body.readUInt32LE(24);
    if (mode !== 0 && mode !== fallocateKeepSize) throw new FileSystemError("EOPNOTSUPP");
    const { size } = tree.attributes(ino);
    tree.checkRoom(ino, end);
    if (mode === 0 && end > size) {
      tree.change(ino, { size: end });
      await contents.resize(ino, size, end);
    }
    return nothing;
  },
  [question.create]: (mount, asked) => {
    const [name] = names(asked.body, 16, 1) as [Buffer];
    const { tree } = mount.files;
    mount.files.checkOpens(mount.id);
    const mustBeNew = (asked.body.readUInt32LE(0) & openFlags.exclusive) !== 0;
    const body = once(
      mount,
      asked,
      () => {
        const file = tree.find(asked.ino, name) ?? tree.make(asked.ino, name, newFile(asked, fileType.regular, 4));
        return Buffer.concat([entryBody(file, times(mount)), openBody(file.ino, mount.exclusive)]);
      },
      mustBeNew ? () => refuseExisting(mount, asked.ino, name) : undefined,
    );
    mount.files.opened(mount.id, Number(Buffer.from(body).readBigUInt64LE(0)));
    return body;
  },
  [question.mknod]: (mount, asked) => {
    const type = asked.body.readUInt32LE(0) & fileType.mask;
    const plain: number[] = [fileType.regular, fileType.fifo, fileType.socket];
    // Devices would be those of whoever mounts the volume next.
    if (!plain.includes(type)) throw new FileSystemError("EPERM");
    const [name] = names(asked.body, 16, 1) as [Buffer];
    return once(mount, asked, () =>
      entryBody(mount.files.tree.make(asked.ino, name, newFile(asked, type, 0)), times(mount)),
    );
  },
  [question.mkdir]: (mount, asked) => {
    const [name] = names(asked.body, 8, 1) as [Buffer];
    return once(mount, asked, () =>
      entryBody(mount.files.tree.make(asked.ino, name, newFile(asked, fileType.directory, 0)), times(mount)),
    );
  },
  [question.symlink]: (mount, asked) => {
    const [name, target] = names(asked.body, 0, 2) as [Buffer, Buffer];
    const file = { mode: fileType.symlink | 0o777, uid: asked.uid, gid: asked.gid };
    return once(mount, asked, () => entryBody(mount.files.tree.make(asked.ino, name, file, target), times(mount)));
  },
  [question.link]: (mount, asked) => {
    const [name] = names(asked.body, 8, 1) as [Buffer];
    return once(mount, asked, () =>
      entryBody(mount.files.tree.link(numberAt(asked.body, 0), asked.ino, name), times(mount)),
    );
  },
  [question.unlink]: async (mount, asked) => {
    const [name] = names(asked.body, 0, 1) as [Buffer];
    let orphan: number | undefined;
    once(mount, asked, () => {
      const { ino, last } = mount.files.tree.unlink(asked.ino, name);
      if (last) orphan = ino;
      return nothing;
    });
    if (orphan !== undefined) await mount.files.orphaned(orphan);
    return nothing;
  },
  [question.rmdir]: (mount, asked) => {
    const [name] = names(asked.body, 0, 1) as [Buffer];
    return once(mount, asked, () => {
      mount.files.tree.removeDirectory(asked.ino, name);
      return nothing;
    });
  },
  [question.rename]: (mount, asked) => rename(mount, asked, 8, 0),
  [question.rename2]: (mount, asked) => rename(mount, asked, 16, asked.body.readUInt32LE(8)),
};

/** What takes more of the host's disk. */
const growing = new Set<number>([
  ...[question.write, question.fallocate, question.create, question.mknod],
  ...[question.mkdir, question.symlink, question.link],
]);

async function rename(mount: VolumeMount, asked: Question, namesAt: number, flags: number): Promise<Uint8Array> {
  const [from, to] = names(asked.body, namesAt, 2) as [Buffer, Buffer];
  const how = { noReplace: (flags & renameFlags.noReplace) !== 0, exchange: (flags & renameFlags.exchange) !== 0 };
  if ((flags & ~(renameFlags.noReplace | renameFlags.exchange)) !== 0) throw new FileSystemError("EINVAL");
  let orphan: number | undefined;
  once(mount, asked, () => {
    const place = { parent: numberAt(asked.body, 0), name: to };
    orphan = mount.files.tree.rename({ parent: asked.ino, name: from }, place, how);
    return nothing;
  });
  if (orphan !== undefined) await mount.files.orphaned(orphan);
  return nothing;
}

/** Changes that a second time would fail or change more: asked again after a lost connection they are not repeated. */
function once(mount: VolumeMount, asked: Question, work: () => Uint8Array, check?: () => void): Uint8Array {
  return mount.files.tree.once(mount.id, asked.number, () => {
    check?.();
    return work();
  });
}

function refuseExisting(mount: VolumeMount, parent: number, name: Buffer): void {
  if (mount.files.tree.find(parent, name)) throw new FileSystemError("EEXIST");
}

function* entries(mount: VolumeMount, ino: number, after: number, plus: boolean): Generator<ListedEntry> {
  const { tree } = mount.files;
  const directory = tree.attributes(ino);
  if (!isDirectory(directory)) throw new FileSystemError("ENOTDIR");
  // Cookies of the tree begin at 1; ours for `.` and `..` come before.
  if (after < 1) yield { name: Buffer.from("."), ino, mode: directory.mode, cookie: 1 };
  if (after < 2) yield { name: Buffer.from(".."), ino: tree.parentOf(ino), mode: directory.mode, cookie: 2 };
  let last = Math.max(0, after - 2);
  for (;;) {
    const batch: DirectoryEntry[] = tree.entries(ino, last, listBatch);
    for (const entry of batch) {
      last = entry.cookie;
      yield { ...entry, cookie: entry.cookie + 2, ...(plus && { file: tree.attributes(entry.ino) }) };
    }
    if (batch.length < listBatch) return;
  }
}

/** As many as fit into an answer; a guest may ask for four gigabytes. */
function listBytes(body: Buffer): number {
  return Math.min(body.readUInt32LE(16), maxWriteBytes);
}

function newFile(
  { uid, gid, body }: Question,
  type: number,
  modeAt: number,
): { mode: number; uid: number; gid: number } {
  return { mode: type | (body.readUInt32LE(modeAt) & permissionMask), uid, gid };
}

function times({ exclusive }: VolumeMount): CacheTimes {
  return exclusive ? { names: 3600, attributes: 3600 } : { names: 0, attributes: 0 };
}

function names(body: Buffer, at: number, count: number): Buffer[] {
  const found = namesIn(body, at, count);
  if (!found) throw new FileSystemError("EINVAL");
  return found;
}

function numberAt(body: Buffer, at: number): number {
  const value = body.readBigUInt64LE(at);
  if (value > BigInt(Number.MAX_SAFE_INTEGER)) throw new FileSystemError("EINVAL");
  return Number(value);
}
