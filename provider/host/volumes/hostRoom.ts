import { statfsSync } from "node:fs";
import { FileSystemError } from "./fileSystemError";

/** What volumes leave free of the host's disk: its database and other sandboxes need some. */
const reserveBytes = 512 * 2 ** 20;

/** Room on the host's disk: a volume may be larger than that, and a guest may write until it is gone. */
export class HostRoom {
  readonly #freeBytes: () => number;

  /** `freeBytes` answers for the disk that holds `directory`. */
  constructor(directory: string, freeBytes = () => freeBytesOf(directory)) {
    this.#freeBytes = freeBytes;
  }

  /** Throws `ENOSPC` when not even the reserve is left. */
  check(): void {
    if (this.#freeBytes() < reserveBytes) throw new FileSystemError("ENOSPC");
  }
}

function freeBytesOf(directory: string): number {
  const { bavail, bsize } = statfsSync(directory);
  return bavail * bsize;
}
