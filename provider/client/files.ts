import type { Readable } from "node:stream";
import type { Body, CallOptions, HttpClient, HttpRequest } from "./http";
import { type FileEntryView, fileEntryView, fileListView, fileResultView } from "./wire/files";

export interface WriteOptions extends CallOptions {
  /** Permission bits, 0o644. */
  mode?: number;
  /** Makes missing parents; default true. */
  createDirs?: boolean;
}

/** Files of the sandboxes of one group. Paths are absolute paths in the guest. */
export class FilesApi {
  readonly #http: HttpClient;
  readonly #sandboxPath: (id: string) => string;

  constructor(http: HttpClient, sandboxPath: (id: string) => string) {
    this.#http = http;
    this.#sandboxPath = sandboxPath;
  }

  /** The whole file. */
  readAll(id: string, path: string, { signal }: CallOptions = {}): Promise<Buffer> {
    return this.#http.bytes(this.#reading(id, path, signal));
  }

  /** The caller reads the stream to its end, or destroys it. */
  read(id: string, path: string, { signal }: CallOptions = {}): Promise<Readable> {
    return this.#http.stream(this.#reading(id, path, signal));
  }

  /** Replaces the file; answers the bytes written, where the service tells. */
  async write(id: string, path: string, body: Body, options: WriteOptions = {}): Promise<number | undefined> {
    const result = await this.#http.json(fileResultView, {
      method: this.#http.plane.dialect.writeFileMethod,
      repeatable: true,
      path: this.#files(id),
      query: {
        path,
        createDirs: String(options.createDirs ?? true),
        mode: options.mode === undefined ? undefined : octal(options.mode),
      },
      body,
      action: `write "${path}"`,
      // A slow source is the caller's affair; its own signal ends it.
      timeoutMs: body instanceof Uint8Array ? undefined : 0,
      signal: options.signal,
    });
    return result.bytesWritten ?? undefined;
  }

  /** Dot files too; not sorted by any promise of Azure's. */
  async list(id: string, path: string, { signal }: CallOptions = {}): Promise<FileEntryView[]> {
    const action = `list "${path}"`;
    const request = { method: "GET", path: `${this.#files(id)}/list`, query: { path }, action, signal } as const;
    return (await this.#http.json(fileListView, request)).entries;
  }

  stat(id: string, path: string, { signal }: CallOptions = {}): Promise<FileEntryView> {
    const action = `read the status of "${path}"`;
    return this.#http.json(fileEntryView, {
      method: "GET",
      path: `${this.#files(id)}/stat`,
      query: { path },
      action,
      signal,
    });
  }

  /** With parents. Repeatable. */
  async mkdir(id: string, path: string, options: CallOptions & { mode?: number } = {}): Promise<void> {
    const json = { path, createParents: true, mode: options.mode === undefined ? undefined : octal(options.mode) };
    const action = `make directory "${path}"`;
    const { signal } = options;
    await this.#http.status({
      method: "POST",
      path: `${this.#files(id)}/mkdir`,
      json,
      action,
      signal,
      repeatable: true,
    });
  }

  /** A file or an empty directory; with `recursive` a tree. Rejects with `FileNotFound` when there is none. */
  async remove(id: string, path: string, options: CallOptions & { recursive?: boolean } = {}): Promise<void> {
    const query = { path, recursive: String(options.recursive ?? false) };
    const action = `remove "${path}"`;
    // Repeated after a lost answer it would say "not found" of what it had removed.
    const request = { method: "DELETE", path: this.#files(id), query, action, repeatable: false } as const;
    await this.#http.status({ ...request, signal: options.signal });
  }

  #reading(id: string, path: string, signal?: AbortSignal): HttpRequest {
    return { method: "GET", path: this.#files(id), query: { path }, action: `read "${path}"`, signal };
  }

  #files(id: string): string {
    return `${this.#sandboxPath(id)}/files`;
  }
}

function octal(mode: number): string {
  return mode.toString(8).padStart(4, "0");
}
