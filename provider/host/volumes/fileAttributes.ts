/** File types within a mode, as in `<sys/stat.h>`. */
export const fileType = {
  mask: 0o170000,
  fifo: 0o010000,
  directory: 0o040000,
  regular: 0o100000,
  symlink: 0o120000,
  socket: 0o140000,
} as const;

/** Permission bits within a mode. */
export const permissionMask = 0o7777;
export const setGroupId = 0o2000;

/** What is known of a file in a volume; times in microseconds since the epoch. */
export interface FileAttributes {
  ino: number;
  mode: number;
  uid: number;
  gid: number;
  nlink: number;
  size: number;
  atime: number;
  mtime: number;
  ctime: number;
}

/** Who makes a file, and with what mode. */
export interface NewFile {
  mode: number;
  uid: number;
  gid: number;
}

export function isDirectory({ mode }: { mode: number }): boolean {
  return (mode & fileType.mask) === fileType.directory;
}

export function isRegular({ mode }: { mode: number }): boolean {
  return (mode & fileType.mask) === fileType.regular;
}

/** Now, in microseconds. */
export function nowMicros(): number {
  return Math.round((performance.timeOrigin + performance.now()) * 1000);
}
