/**
 * One entry of a tar stream. Names, link targets and attribute values hold one byte per character (latin1): a tar
 * knows bytes only, and so nothing is lost whatever their encoding.
 */
export interface TarEntry {
  path: string;
  type: TarEntryType;
  /** Permission bits with setuid, setgid and sticky. */
  mode: number;
  uid: number;
  gid: number;
  /** Whole seconds since 1970. */
  mtime: number;
  /** Bytes a reader of the file sees, holes included; 0 unless a file. */
  size: number;
  /** Of symbolic and hard links. */
  linkTarget: string;
  /** Extended attributes by full name, `security.capability`. */
  xattrs?: ReadonlyMap<string, string>;
}

export type TarEntryType = "file" | "hardLink" | "symlink" | "directory" | "fifo" | "charDevice" | "blockDevice";

export const blockBytes = 512;

/** Bytes that fill a body of `size` up to the next block. */
export function paddingAfter(size: number): number {
  return (blockBytes - (size % blockBytes)) % blockBytes;
}

/** A latin1 name as a reader expects it in a message. */
export function printable(name: string): string {
  return JSON.stringify(Buffer.from(name, "latin1").toString("utf8"));
}
