import type { FilesApi } from "../client/files";
import type { CallOptions } from "../client/http";
import type { FileEntryView } from "../client/wire/files";
import { download, type TransferOptions, type TransferResult, upload } from "./transfer";

export interface FileInfo {
  name: string;
  /** Absolute, in the guest. */
  path: string;
  type: "file" | "directory" | "symlink";
  sizeBytes: number;
  /** Permission bits, 0o644. */
  mode: number;
  symlinkTarget?: string;
  modifiedAt?: Date;
}

export interface WriteFileOptions extends CallOptions {
  /** Permission bits; default 0o644 for a new file, unchanged for an old one. */
  mode?: number;
  /** Makes missing parents; default true. */
  createDirs?: boolean;
}

export interface RemoveOptions extends CallOptions {
  /** Also a directory that is not empty. */
  recursive?: boolean;
}

/** Files of one sandbox. Paths are absolute paths in the guest. */
export class SandboxFiles {
  readonly #api: FilesApi;
  readonly #id: string;

  constructor(api: FilesApi, id: string) {
    this.#api = api;
    this.#id = id;
  }

  /** Replaces the file. */
  async write(
    path: string,
    data: string | Uint8Array | AsyncIterable<Uint8Array>,
    options: WriteFileOptions = {},
  ): Promise<void> {
    const body = typeof data === "string" ? Buffer.from(data) : data;
    await this.#api.write(this.#id, path, body, options);
  }

  /** The whole file. Rejects with `FileNotFound`. For large ones there is `download`. */
  read(path: string, options: CallOptions = {}): Promise<Buffer> {
    return this.#api.readAll(this.#id, path, options);
  }

  /** As UTF-8. */
  async readText(path: string, options: CallOptions = {}): Promise<string> {
    return (await this.read(path, options)).toString("utf8");
  }

  /** Entries of a directory, dot files too, sorted by name. */
  async list(path: string, options: CallOptions = {}): Promise<FileInfo[]> {
    const entries = (await this.#api.list(this.#id, path, options)).map(fileInfo);
    return entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  }

  /** Of a symlink itself, not of what it leads to. */
  async stat(path: string, options: CallOptions = {}): Promise<FileInfo> {
    return fileInfo(await this.#api.stat(this.#id, path, options));
  }

  /** With parents. Repeatable. */
  mkdir(path: string, options: CallOptions & { mode?: number } = {}): Promise<void> {
    return this.#api.mkdir(this.#id, path, options);
  }

  /** Rejects with `FileNotFound` when there is nothing. */
  remove(path: string, options: RemoveOptions = {}): Promise<void> {
    return this.#api.remove(this.#id, path, options);
  }

  /** Copies a local file or tree to `path`, which names the copy itself. */
  upload(localPath: string, path: string, options: TransferOptions = {}): Promise<TransferResult> {
    return upload(this, localPath, path, options);
  }

  /** Copies a file or tree of the guest to `localPath`, which names the copy itself. */
  download(path: string, localPath: string, options: TransferOptions = {}): Promise<TransferResult> {
    const open = (file: string) => this.#api.read(this.#id, file, options);
    return download({ stat: this.stat.bind(this), list: this.list.bind(this), open }, path, localPath, options);
  }
}

function fileInfo(view: FileEntryView): FileInfo {
  const modified = view.modifiedTime ?? view.modifiedAt;
  return {
    name: view.name,
    path: view.path,
    type: view.isSymlink ? "symlink" : (view.isDir ?? view.isDirectory) ? "directory" : "file",
    sizeBytes: view.size,
    mode: Number.parseInt(view.mode ?? "0", 8) || 0,
    ...(view.symlinkTarget ? { symlinkTarget: view.symlinkTarget } : {}),
    ...(modified ? { modifiedAt: new Date(modified) } : {}),
  };
}
