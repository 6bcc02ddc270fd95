import { nowMicros } from "./fileAttributes";
import type { AttributeChange } from "./volumeTree";

const valid = { mode: 1, uid: 2, gid: 4, size: 8, atime: 16, mtime: 32, atimeNow: 128, mtimeNow: 256 };

/** Reads the body of SETATTR, `struct fuse_setattr_in`. */
export function readSetattr(body: Buffer): AttributeChange {
  const mask = body.readUInt32LE(0);
  const has = (bit: number) => (mask & bit) !== 0;
  const change: AttributeChange = {};
  if (has(valid.mode)) change.mode = body.readUInt32LE(68);
  if (has(valid.uid)) change.uid = body.readUInt32LE(76);
  if (has(valid.gid)) change.gid = body.readUInt32LE(80);
  if (has(valid.size)) change.size = Number(body.readBigUInt64LE(16));
  if (has(valid.atime)) change.atime = has(valid.atimeNow) ? nowMicros() : timeAt(body, 32, 56);
  if (has(valid.mtime)) change.mtime = has(valid.mtimeNow) ? nowMicros() : timeAt(body, 40, 60);
  return change;
}

/** Microseconds; times beyond what a number holds are cut to that. */
function timeAt(body: Buffer, seconds: number, nanos: number): number {
  const micros = Number(body.readBigInt64LE(seconds)) * 1e6 + Math.floor(body.readUInt32LE(nanos) / 1000);
  return Math.max(Number.MIN_SAFE_INTEGER, Math.min(Number.MAX_SAFE_INTEGER, micros));
}
