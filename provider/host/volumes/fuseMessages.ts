import { constants } from "node:os";
import type { FileAttributes } from "./fileAttributes";

// Layouts of <linux/fuse.h>, protocol 7.31, little-endian as all machines that this runs on.

/** What a kernel asks; the rest is answered with `ENOSYS`. */
export const question = {
  lookup: 1,
  getattr: 3,
  setattr: 4,
  readlink: 5,
  symlink: 6,
  mknod: 8,
  mkdir: 9,
  unlink: 10,
  rmdir: 11,
  rename: 12,
  link: 13,
  open: 14,
  read: 15,
  write: 16,
  statfs: 17,
  release: 18,
  fsync: 20,
  flush: 25,
  init: 26,
  opendir: 27,
  readdir: 28,
  releasedir: 29,
  fsyncdir: 30,
  create: 35,
  destroy: 38,
  fallocate: 43,
  readdirplus: 44,
  rename2: 45,
} as const;

export const protocolMajor = 7;
export const protocolMinor = 31;

/** Largest write that a kernel may ask for. */
export const maxWriteBytes = 128 * 1024;
/** Of a question or answer. */
export const maxMessageBytes = maxWriteBytes + 8 * 1024;
export const questionHeaderBytes = 40;
const answerHeaderBytes = 16;
const attributeBytes = 88;
const entryBytes = 40 + attributeBytes;

/** A question as it came. */
export interface Question {
  kind: number;
  /** Told back in the answer. */
  number: number;
  ino: number;
  uid: number;
  gid: number;
  body: Buffer;
}

/** Reads a whole message; undefined when it cannot be one. */
export function readQuestion(message: Buffer): Question | undefined {
  const number = Number(message.readBigUInt64LE(8));
  const ino = Number(message.readBigUInt64LE(16));
  if (!Number.isSafeInteger(number) || !Number.isSafeInteger(ino)) return undefined;
  return {
    kind: message.readUInt32LE(4),
    number,
    ino,
    uid: message.readUInt32LE(24),
    gid: message.readUInt32LE(28),
    body: message.subarray(questionHeaderBytes),
  };
}

export function answer(number: number, body: Uint8Array = new Uint8Array(0)): Buffer {
  return message(number, 0, body);
}

export function refusal(number: number, errno: number): Buffer {
  return message(number, -errno, new Uint8Array(0));
}

function message(number: number, error: number, body: Uint8Array): Buffer {
  const header = Buffer.alloc(answerHeaderBytes);
  header.writeUInt32LE(answerHeaderBytes + body.length, 0);
  header.writeInt32LE(error, 4);
  header.writeBigUInt64LE(BigInt(number), 8);
  return Buffer.concat([header, body]);
}

/** How long a kernel may go by what it was told, seconds. */
export interface CacheTimes {
  names: number;
  attributes: number;
}

export function entryBody(file: FileAttributes, times: CacheTimes): Buffer {
  const body = Buffer.alloc(entryBytes);
  body.writeBigUInt64LE(BigInt(file.ino), 0);
  body.writeBigUInt64LE(BigInt(times.names), 16);
  body.writeBigUInt64LE(BigInt(times.attributes), 24);
  writeAttributes(body, 40, file);
  return body;
}

export function attributesBody(file: FileAttributes, times: CacheTimes): Buffer {
  const body = Buffer.alloc(16 + attributeBytes);
  body.writeBigUInt64LE(BigInt(times.attributes), 0);
  writeAttributes(body, 16, file);
  return body;
}

function writeAttributes(into: Buffer, at: number, file: FileAttributes): void {
  const { ino, size, atime, mtime, ctime, mode, nlink, uid, gid } = file;
  [ino, size, Math.ceil(size / 512)].forEach(
    (value, index) => void into.writeBigUInt64LE(BigInt(value), at + 8 * index),
  );
  [atime, mtime, ctime].forEach((micros, index) => {
    const seconds = Math.floor(micros / 1e6);
    into.writeBigInt64LE(BigInt(seconds), at + 24 + 8 * index);
    into.writeUInt32LE(Math.round(micros - seconds * 1e6) * 1000, at + 48 + 4 * index);
  });
  [mode, nlink, uid, gid].forEach((value, index) => void into.writeUInt32LE(value, at + 60 + 4 * index));
  into.writeUInt32LE(4096, at + 80);
}

/** `keepCache`: what was read before the file was opened is still true. */
export function openBody(ino: number, keepCache: boolean): Buffer {
  const body = Buffer.alloc(16);
  body.writeBigUInt64LE(BigInt(ino), 0);
  body.writeUInt32LE(keepCache ? 2 : 0, 8);
  return body;
}

export function countBody(count: number): Buffer {
  const body = Buffer.alloc(8);
  body.writeUInt32LE(count, 0);
  return body;
}

/** Answers INIT: what was asked for and is understood here. */
export function initBody(asked: { flags: number; readAhead: number }): Buffer {
  const asyncRead = 1 << 0;
  const bigWrites = 1 << 5;
  const autoInvalidateData = 1 << 12;
  const readdirPlus = (1 << 13) | (1 << 14);
  const parallelDirectories = 1 << 18;
  const maxPages = 1 << 22;
  const wanted = asyncRead | bigWrites | autoInvalidateData | readdirPlus | parallelDirectories | maxPages;
  const body = Buffer.alloc(64);
  body.writeUInt32LE(protocolMajor, 0);
  body.writeUInt32LE(protocolMinor, 4);
  body.writeUInt32LE(asked.readAhead, 8);
  body.writeUInt32LE((asked.flags & wanted) >>> 0, 12);
  body.writeUInt16LE(12, 16);
  body.writeUInt16LE(9, 18);
  body.writeUInt32LE(maxWriteBytes, 20);
  // Times are kept in microseconds.
  body.writeUInt32LE(1000, 24);
  body.writeUInt16LE(maxWriteBytes / 4096, 28);
  return body;
}

export function statfsBody(usage: { limitBytes: number; usedBytes: number; names: number; maxNames: number }): Buffer {
  const blockBytes = 4096;
  const total = Math.floor(usage.limitBytes / blockBytes);
  const free = Math.max(0, total - Math.ceil(usage.usedBytes / blockBytes));
  const body = Buffer.alloc(80);
  const counts = [total, free, free, usage.maxNames, usage.maxNames - usage.names];
  counts.forEach((value, index) => void body.writeBigUInt64LE(BigInt(Math.max(0, value)), 8 * index));
  [blockBytes, 255, blockBytes].forEach((value, index) => void body.writeUInt32LE(value, 40 + 4 * index));
  return body;
}

export interface ListedEntry {
  name: Uint8Array;
  ino: number;
  mode: number;
  cookie: number;
  /** For a listing with attributes; none for `.` and `..`. */
  file?: FileAttributes;
}

/** As many entries as fit. */
export function listBody(entries: Iterable<ListedEntry>, maxBytes: number, plus: CacheTimes | undefined): Buffer {
  const parts: Buffer[] = [];
  let length = 0;
  for (const { name, ino, mode, cookie, file } of entries) {
    const head = plus ? entryBytes : 0;
    const part = Buffer.alloc(head + Math.ceil((24 + name.length) / 8) * 8);
    if (length + part.length > maxBytes) break;
    // Zeros where there are no attributes: the kernel then asks when it needs them.
    if (plus && file) entryBody(file, plus).copy(part);
    part.writeBigUInt64LE(BigInt(ino), head);
    part.writeBigUInt64LE(BigInt(cookie), head + 8);
    part.writeUInt32LE(name.length, head + 16);
    part.writeUInt32LE((mode >> 12) & 0o17, head + 20);
    part.set(name, head + 24);
    parts.push(part);
    length += part.length;
  }
  return Buffer.concat(parts);
}

/** Strings in a question: each ends with a zero byte. */
export function namesIn(body: Buffer, at: number, count: number): Buffer[] | undefined {
  const names: Buffer[] = [];
  let start = at;
  for (let n = 0; n < count; n++) {
    const end = body.indexOf(0, start);
    if (end < 0) return undefined;
    names.push(body.subarray(start, end));
    start = end + 1;
  }
  return names;
}

/** Node's names for the error numbers that are answered most. */
export const { ENOSYS, EINVAL } = constants.errno;
