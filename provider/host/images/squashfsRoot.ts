import type { FileHandle } from "node:fs/promises";
import { SandboxesError } from "../../client/errors";

/** What the image says of its root directory. */
export interface SquashfsRoot {
  mode: number;
  uid: number;
  gid: number;
  /** Seconds since 1970. */
  mtime: number;
}

const superblockBytes = 96;
const magic = 0x73717368;
const metadataBytes = 8192;
// Type, permissions, owner's and group's number, time: the same in both kinds of directory inode.
const headBytes = 12;
const isUncompressed = 0x8000;

/**
 * Sets the root directory's permissions, owner and time in a finished squashfs whose inodes are not compressed.
 * sqfstar 4.5 gives it to the user it runs as, at the time it runs, whatever options and tar say. An owner that owns
 * nothing else in the image has no number in it; then the owner stays. Format: https://dr-emann.github.io/squashfs/
 */
export async function writeSquashfsRoot(file: FileHandle, root: SquashfsRoot): Promise<void> {
  const superblock = await readAt(file, 0, superblockBytes);
  if (superblock.readUInt32LE(0) !== magic) throw damaged("its magic number is wrong");
  const reference = superblock.readBigUInt64LE(32);
  const inodeTable = Number(superblock.readBigUInt64LE(64));
  const block = inodeTable + Number(reference >> 16n);
  const pieces = await piecesOf(file, block, Number(reference & 0xffffn), headBytes);
  const head = Buffer.concat(await Promise.all(pieces.map(({ at, length }) => readAt(file, at, length))));
  if (![1, 8].includes(head.readUInt16LE(0))) throw damaged("its root is no directory");
  const ids = await readIds(file, superblock);
  head.writeUInt16LE(root.mode, 2);
  const [uid, gid] = [ids.indexOf(root.uid), ids.indexOf(root.gid)];
  if (uid >= 0) head.writeUInt16LE(uid, 4);
  if (gid >= 0) head.writeUInt16LE(gid, 6);
  head.writeUInt32LE(root.mtime, 8);
  let written = 0;
  for (const { at, length } of pieces) {
    await file.write(head, written, length, at);
    written += length;
  }
}

/** Where `count` bytes of metadata are in the file: blocks follow each other, and an inode may cross into the next. */
async function piecesOf(
  file: FileHandle,
  block: number,
  offset: number,
  count: number,
): Promise<{ at: number; length: number }[]> {
  await requireUncompressed(file, block);
  const length = Math.min(count, metadataBytes - offset);
  const first = { at: block + 2 + offset, length };
  return length === count ? [first] : [first, ...(await piecesOf(file, block + 2 + metadataBytes, 0, count - length))];
}

async function readIds(file: FileHandle, superblock: Buffer): Promise<number[]> {
  const count = superblock.readUInt16LE(26);
  const table = Number(superblock.readBigUInt64LE(48));
  const bytes = count * 4;
  const parts: Buffer[] = [];
  for (let done = 0; done < bytes; done += metadataBytes) {
    const block = Number((await readAt(file, table + (done / metadataBytes) * 8, 8)).readBigUInt64LE());
    await requireUncompressed(file, block);
    parts.push(await readAt(file, block + 2, Math.min(metadataBytes, bytes - done)));
  }
  const ids = Buffer.concat(parts);
  return Array.from({ length: count }, (_, index) => ids.readUInt32LE(index * 4));
}

async function requireUncompressed(file: FileHandle, block: number): Promise<void> {
  if (((await readAt(file, block, 2)).readUInt16LE() & isUncompressed) === 0)
    throw damaged("its metadata is compressed");
}

async function readAt(file: FileHandle, position: number, length: number): Promise<Buffer> {
  const { buffer, bytesRead } = await file.read(Buffer.alloc(length), 0, length, position);
  if (bytesRead < length) throw damaged("it is cut off");
  return buffer;
}

function damaged(why: string): SandboxesError {
  return new SandboxesError("Internal", `sqfstar wrote a file that cannot be understood: ${why}`);
}
