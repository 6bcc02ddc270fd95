import { createWriteStream } from "node:fs";
import { lstat, mkdir, open, readdir, stat } from "node:fs/promises";
import { join, posix } from "node:path";
import type { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import { SandboxesError } from "../client/errors";
import type { CallOptions } from "../client/http";
import type { FileInfo, SandboxFiles } from "./files";

export type TransferOptions = CallOptions;

export interface TransferResult {
  files: number;
  bytes: number;
  /** Paths inside a tree that are neither file nor directory (links, sockets), and were left out. */
  skipped: string[];
}

/** Copies a local file or tree into a guest, with its permission bits. The path itself may be a link. */
export async function upload(
  files: Pick<SandboxFiles, "write" | "mkdir">,
  localPath: string,
  path: string,
  options: TransferOptions,
): Promise<TransferResult> {
  const result: TransferResult = { files: 0, bytes: 0, skipped: [] };
  const copy = async (from: string, to: string, isRoot: boolean): Promise<void> => {
    options.signal?.throwIfAborted();
    const info = await (isRoot ? stat(from) : lstat(from)).catch((cause) =>
      Promise.reject(inaccessible("read", from, cause)),
    );
    const mode = info.mode & 0o7777;
    if (info.isDirectory()) {
      await files.mkdir(to, options);
      for (const name of await readdir(from)) await copy(join(from, name), posix.join(to, name), false);
    } else if (info.isFile()) {
      // Opened here, so that what cannot be read is told before anything is sent; the stream closes it.
      const file = await open(from).catch((cause) => Promise.reject(inaccessible("read", from, cause)));
      await files.write(to, file.createReadStream(), { ...options, mode });
      result.files += 1;
      result.bytes += info.size;
    } else result.skipped.push(from);
  };
  await copy(localPath, path, true);
  return result;
}

export interface GuestTree {
  stat: (path: string, options: CallOptions) => Promise<FileInfo>;
  list: (path: string, options: CallOptions) => Promise<FileInfo[]>;
  open: (path: string) => Promise<Readable>;
}

/** Copies a file or tree out of a guest, whose names are not trusted: none may lead out of `localPath`. */
export async function download(
  guest: GuestTree,
  path: string,
  localPath: string,
  options: TransferOptions,
): Promise<TransferResult> {
  const result: TransferResult = { files: 0, bytes: 0, skipped: [] };
  const copy = async (info: Pick<FileInfo, "type" | "mode">, from: string, to: string): Promise<void> => {
    options.signal?.throwIfAborted();
    if (info.type === "directory") {
      await mkdir(to, { recursive: true }).catch((cause) => Promise.reject(inaccessible("write", to, cause)));
      for (const entry of await guest.list(from, options)) {
        const name = checkedName(entry.name, from);
        await copy(entry, posix.join(from, name), join(to, name));
      }
    } else if (info.type === "file") {
      const source = await guest.open(from);
      const target = createWriteStream(to, { mode: info.mode & 0o777 });
      let refused: NodeJS.ErrnoException | undefined;
      target.once("error", (error) => {
        refused = error;
      });
      await pipeline(source, target, { signal: options.signal }).catch((error) =>
        Promise.reject(refused === error ? inaccessible("write", to, error) : error),
      );
      result.files += 1;
      result.bytes += target.bytesWritten;
    } else result.skipped.push(from);
  };
  const info = await guest.stat(path, options);
  // A link that the caller names is followed, by the guest; links inside a tree are not.
  await copy(info.type === "symlink" ? { type: "file", mode: 0o644 } : info, path, localPath);
  return result;
}

function checkedName(name: string, directory: string): string {
  if (name !== "" && name !== "." && name !== ".." && !name.includes("/") && !name.includes("\0")) return name;
  throw new SandboxesError(
    "GuestFailed",
    `Cannot copy "${directory}": it lists an entry of the name ${JSON.stringify(name)}`,
  );
}

function inaccessible(verb: "read" | "write", path: string, cause: NodeJS.ErrnoException): SandboxesError {
  return new SandboxesError("Invalid", `Cannot ${verb} the local path "${path}": ${cause.code ?? cause.message}`, {
    cause,
  });
}
