import { constants } from "node:os";

/** https://sqlite.org/rescode.html#full */
const databaseFull = 13;

/** A failure as a kernel hears it. */
export class FileSystemError extends Error {
  readonly errno: number;

  constructor(name: keyof typeof constants.errno) {
    super(name);
    this.name = "FileSystemError";
    this.errno = constants.errno[name];
  }
}

/** The error number for a failure of whatever kind; anything unforeseen is `EIO`. */
export function errnoOf(error: unknown): number {
  if (error instanceof FileSystemError) return error.errno;
  const { code = "", errcode } = (error ?? {}) as { code?: string; errcode?: number };
  // A full disk of the host is a full volume to its user; other causes are the host's own affair.
  return code === "ENOSPC" || code === "EDQUOT" || errcode === databaseFull
    ? constants.errno.ENOSPC
    : constants.errno.EIO;
}
