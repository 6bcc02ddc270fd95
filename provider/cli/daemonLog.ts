import { copyFileSync, fstatSync, ftruncateSync, readFileSync, statSync, writeSync } from "node:fs";
import type { Writable } from "node:stream";

export interface DaemonLogOptions {
  /** Where lines go; the descriptor behind it is 2 unless said otherwise. */
  stderr: Writable;
  descriptor?: number;
  maxBytes?: number;
}

const defaultMaxBytes = 10 * 2 ** 20;
const appends = 0o2000;

/**
 * Writes log lines to stderr. Where that is `logFile`, as for an embedded host, the file never grows beyond its limit:
 * what it held goes to `logFile.1`. A disk that is full costs lines, not the daemon.
 */
export function daemonLog(logFile: string, options: DaemonLogOptions): { write(line: string): void } {
  const { stderr, descriptor = 2, maxBytes = defaultMaxBytes } = options;
  if (!leadsTo(descriptor, logFile)) return { write: (line) => void stderr.write(line) };
  let size = fstatSync(descriptor).size;
  return {
    write(line) {
      try {
        size += writeSync(descriptor, line);
        if (size <= maxBytes) return;
        // Copied, not renamed: what this process inherited or handed on goes on writing to the same file.
        copyFileSync(logFile, `${logFile}.1`);
        ftruncateSync(descriptor, 0);
        size = 0;
      } catch {
        // There is nobody left to tell.
      }
    },
  };
}

/** Only a descriptor that appends goes on at the beginning of a file that was cut. */
function leadsTo(descriptor: number, path: string): boolean {
  try {
    const [open, named] = [fstatSync(descriptor), statSync(path)];
    if (!open.isFile() || open.ino !== named.ino || open.dev !== named.dev) return false;
    const flags = /^flags:\s*(\d+)$/m.exec(readFileSync(`/proc/self/fdinfo/${descriptor}`, "utf8"))?.[1] ?? "0";
    return (Number.parseInt(flags, 8) & appends) !== 0;
  } catch {
    return false; // No such file, or no /proc: an ordinary stderr.
  }
}
