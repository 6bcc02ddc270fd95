import { spawn } from "node:child_process";
import { EventEmitter, once } from "node:events";
import { createReadStream } from "node:fs";
import { lstat, mkdir, readdir, rm, rmdir, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import { type Duplex, PassThrough, type Readable } from "node:stream";
import { buffer } from "node:stream/consumers";
import { SandboxesError } from "../../../provider/client/errors";
import type {
  ExecRequest,
  GuestAgent,
  GuestExit,
  GuestFileInfo,
  GuestIdentity,
  GuestProcess,
  GuestSpace,
  WriteFileOptions,
} from "../../../provider/host/vm/guestAgent";
import { folderBackground } from "./folderBackground";
import type { FolderVm } from "./machines";

/** Runs real programs of this machine and keeps files under a folder. */
export class FolderAgent implements GuestAgent {
  readonly #vm: FolderVm;
  readonly #pids = new Set<number>();
  readonly #losing = new EventEmitter().setMaxListeners(0);
  requests: ExecRequest[] = [];
  readonly closed = new Promise<SandboxesError>(() => {});
  readonly background = folderBackground((request) => this.exec(request));

  constructor(vm: FolderVm) {
    this.#vm = vm;
  }

  /** Programs that have not ended. */
  get running(): number {
    return this.#pids.size;
  }

  async ping(): Promise<void> {}

  async refresh(identity: GuestIdentity): Promise<void> {
    this.#vm.identities.push(identity);
  }

  async exec(request: ExecRequest): Promise<GuestProcess> {
    this.requests.push(request);
    const [program = "", ...args] = request.argv;
    const cwd = request.cwd && request.cwd !== "/" ? request.cwd : this.#vm.folder;
    const child = spawn(program, args, { cwd, env: request.env ?? {}, detached: true });
    const start = performance.now();
    await once(child, "spawn").catch((cause: Error) => {
      throw new SandboxesError("ExecFailed", `Cannot start "${program}": ${cause.message}`);
    });
    const pid = child.pid as number;
    this.#pids.add(pid);
    const kill = (signal: string) => killGroup(pid, signal);
    request.signal?.addEventListener("abort", () => kill("SIGKILL"), { once: true });
    let timedOut = false;
    const expire = () => {
      timedOut = true;
      kill("SIGKILL");
    };
    const timer = request.timeoutMs ? setTimeout(expire, Math.min(request.timeoutMs, 2 ** 31 - 1)) : undefined;
    if (request.stdin === false || request.stdin === undefined) child.stdin.end();
    const ended = once(child, "close").then(([exitCode, signal]): GuestExit => {
      clearTimeout(timer);
      this.#pids.delete(pid);
      return { exitCode, signal, timedOut, durationMs: performance.now() - start };
    });
    const lost = once(this.#losing, "lost").then(() => {
      const error = new SandboxesError("GuestFailed", "the connection was closed");
      child.stdout.destroy(error);
      throw error;
    });
    lost.catch(() => undefined);
    const exit = Promise.race([ended, lost]);
    exit.catch(() => undefined);
    const stdin = request.stdin ? child.stdin : undefined;
    return { stdin, stdout: child.stdout, stderr: child.stderr, exit, kill, resize: () => undefined };
  }

  async readFile(path: string): Promise<Readable> {
    const info = await this.stat(path);
    if (info.type === "directory") throw new SandboxesError("FileConflict", `"${path}" is a directory`);
    return createReadStream(this.#path(path));
  }

  async writeFile(path: string, source: AsyncIterable<Uint8Array>, options?: WriteFileOptions): Promise<number> {
    if (options?.createDirs) await mkdir(dirname(this.#path(path)), { recursive: true });
    const content = await buffer(source);
    await writeFile(this.#path(path), content, { mode: options?.mode ?? 0o644 }).catch(() => this.#missing(path));
    return content.length;
  }

  async stat(path: string): Promise<GuestFileInfo> {
    const stats = await lstat(this.#path(path)).catch(() => this.#missing(path));
    return {
      name: basename(path),
      path,
      sizeBytes: stats.size,
      mode: stats.mode & 0o7777,
      type: stats.isDirectory() ? "directory" : stats.isSymbolicLink() ? "symlink" : "file",
      uid: stats.uid,
      gid: stats.gid,
      modifiedMs: stats.mtimeMs,
    };
  }

  async list(path: string): Promise<GuestFileInfo[]> {
    const names = await readdir(this.#path(path)).catch(() => this.#missing(path));
    return Promise.all(names.sort().map((name) => this.stat(join(path, name))));
  }

  async mkdir(path: string): Promise<void> {
    await mkdir(this.#path(path), { recursive: true });
  }

  async remove(path: string, options?: { recursive?: boolean }): Promise<void> {
    const { type } = await this.stat(path);
    if (type !== "directory" || options?.recursive) return rm(this.#path(path), { recursive: true });
    await rmdir(this.#path(path)).catch(() => {
      throw new SandboxesError("FileConflict", `"${path}" is not empty`);
    });
  }

  /** A guest that never asks for anything of its volume. */
  async mount(): Promise<Duplex> {
    return new PassThrough();
  }

  listen(): Promise<never> {
    return Promise.reject(new SandboxesError("Unsupported", "no network in a test"));
  }

  archive(): Promise<Readable> {
    const tar = spawn("tar", ["-cf", "-", "."], { cwd: this.#vm.folder, stdio: ["ignore", "pipe", "inherit"] });
    return Promise.resolve(tar.stdout);
  }

  async space(): Promise<GuestSpace> {
    return { totalBytes: 3000, freeBytes: 2000, availableBytes: 1000 };
  }

  connectPort(): Promise<never> {
    return Promise.reject(new SandboxesError("Unsupported", "no ports in a test"));
  }

  /** Ends the connections of all programs, not the programs. */
  lose(): void {
    this.#losing.emit("lost");
  }

  close(): void {
    for (const pid of this.#pids) killGroup(pid, "SIGKILL");
  }

  #path(path: string): string {
    return join(this.#vm.folder, path);
  }

  #missing(path: string): never {
    throw new SandboxesError("FileNotFound", `"${path}" does not exist`);
  }
}

function killGroup(pid: number, signal: string): void {
  try {
    process.kill(-pid, signal as NodeJS.Signals);
  } catch {
    // It has ended already.
  }
}
