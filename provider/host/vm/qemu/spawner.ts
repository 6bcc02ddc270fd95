import { type ChildProcessByStdio, spawn } from "node:child_process";
import type { Readable, Writable } from "node:stream";
import * as z from "zod";
import { SandboxesError } from "../../../client/errors";
import { readLines } from "./lines";

export interface SpawnRequest {
  /** Becomes the working directory; `agent.sock`, `qmp.sock` (listening, descriptors 3 and 4) and `qemu.log` (its first MiB) are made in it. */
  directory: string;
  /** Bytes that a file which the program writes may reach. */
  fileSizeLimit?: number;
  /** Opened for reading as descriptors 5, 6, …. */
  files?: string[];
  /** Program (absolute) and arguments; its environment is empty. */
  argv: string[];
}

export interface SpawnedProcess {
  pid: number;
  /** Settles with `exit code 1` or `signal 9`; never when the spawner ends first. */
  ended: Promise<string>;
}

/** Starts processes that outlive this one, through a process so small that forking it costs next to nothing. */
export interface Spawner {
  /** Rejects with `HostUnavailable` when the helper ends before it answers; the process may then run all the same. */
  spawn(request: SpawnRequest): Promise<SpawnedProcess>;
  /** Resolves when the helper has ended; what it started goes on. */
  close(): Promise<void>;
}

const reply = z.union([
  z.object({ id: z.number(), pid: z.number() }),
  z.object({ id: z.number(), error: z.string() }),
  z.object({ exited: z.number(), code: z.number() }),
  z.object({ exited: z.number(), signal: z.number() }),
]);

/** To fork and exec takes milliseconds; a helper that takes longer is stuck. */
const answerLimitMs = 15_000;

interface Pending {
  resolve(process: SpawnedProcess): void;
  reject(error: SandboxesError): void;
}

/** The helper process starts with the first request, and again with the next one should it ever end. */
export function createSpawner(binary: string): Spawner {
  const pending = new Map<number, Pending>();
  const endings = new Map<number, (how: string) => void>();
  let child: ChildProcessByStdio<Writable, Readable, null> | undefined;
  let lastId = 0;

  const receive = (line: string): void => {
    const message = reply.parse(JSON.parse(line));
    if ("exited" in message) {
      endings.get(message.exited)?.("code" in message ? `exit code ${message.code}` : `signal ${message.signal}`);
      endings.delete(message.exited);
      return;
    }
    const request = pending.get(message.id);
    pending.delete(message.id);
    if ("error" in message) request?.reject(new SandboxesError("HostUnavailable", message.error));
    else request?.resolve({ pid: message.pid, ended: new Promise((tell) => endings.set(message.pid, tell)) });
  };

  const start = (): ChildProcessByStdio<Writable, Readable, null> => {
    // A session of its own: Ctrl-C is for the host, which then closes its input.
    const started = spawn(binary, ["serve"], { stdio: ["pipe", "pipe", "inherit"], detached: true });
    const lost = (message: string): void => {
      if (child !== started) return;
      child = undefined;
      for (const request of pending.values()) request.reject(new SandboxesError("HostUnavailable", message));
      pending.clear();
    };
    started.once("error", (error) => lost(`cannot start the spawner: ${error.message}`));
    // Not "exit": what it said last may still be on its way.
    started.once("close", (code, signal) => lost(`the spawner ended: ${signal ?? `exit code ${code}`}`));
    // Told by "close".
    started.stdin.on("error", () => {});
    // It does not speak as agreed.
    started.stdout.on("error", () => started.kill("SIGKILL"));
    readLines(started.stdout, receive);
    return started;
  };

  return {
    spawn(request) {
      child ??= start();
      const asked = child;
      const id = ++lastId;
      asked.stdin.write(encode(id, request));
      const tooLate = setTimeout(() => asked.kill("SIGKILL"), answerLimitMs);
      const answer = new Promise<SpawnedProcess>((resolve, reject) => pending.set(id, { resolve, reject }));
      return answer.finally(() => clearTimeout(tooLate));
    },
    async close() {
      const ending = child;
      if (!ending) return;
      const closed = new Promise((resolve) => ending.once("close", resolve));
      ending.stdin.end();
      const tooLate = setTimeout(() => ending.kill("SIGKILL"), answerLimitMs);
      await closed;
      clearTimeout(tooLate);
    },
  };
}

/** As `provider/spawner/src/request.rs` reads it. */
function encode(id: number, request: SpawnRequest): Buffer {
  const files = request.files ?? [];
  const fields = [id, request.directory, request.fileSizeLimit ?? 0, files.length, ...files, ...request.argv];
  const body = Buffer.from(fields.map((field) => `${field}\0`).join(""));
  const length = Buffer.alloc(4);
  length.writeUInt32LE(body.length);
  return Buffer.concat([length, body]);
}
