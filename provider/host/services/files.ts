import { posix } from "node:path";
import type { Readable } from "node:stream";
import { isSandboxesError, SandboxesError } from "../../client/errors";
import type { GuestAgent, GuestFileInfo, WriteFileOptions } from "../vm/guestAgent";
import { CallLimit } from "./callLimit";
import { answeredByGuest, answerWithinMs } from "./guestLimit";
import type { SandboxService } from "./sandboxes";

/** Longest path that Linux takes. */
const maxPathBytes = 4096;

/** Files inside sandboxes. Paths are the guest's; the host never opens them. */
export class FileService {
  readonly #sandboxes: SandboxService;

  constructor(parts: { sandboxes: SandboxService }) {
    this.#sandboxes = parts.sandboxes;
  }

  /** `otherPath` is tried when `path` is not there. */
  read(groupKey: string, id: string, path: string, otherPath?: string): Promise<Readable> {
    return this.#reading(groupKey, id, path, otherPath, (agent, each) =>
      answeredByGuest(id, (signal) => agent.readFile(each, { signal })),
    );
  }

  stat(groupKey: string, id: string, path: string, otherPath?: string): Promise<GuestFileInfo> {
    return this.#reading(groupKey, id, path, otherPath, (agent, each) =>
      answeredByGuest(id, (signal) => agent.stat(each, { signal })),
    );
  }

  list(groupKey: string, id: string, path: string, otherPath?: string): Promise<GuestFileInfo[]> {
    return this.#reading(groupKey, id, path, otherPath, (agent, each) =>
      answeredByGuest(id, (signal) => agent.list(each, { signal })),
    );
  }

  /** Replaces a file; answers the bytes written. The source may take its time, the guest may not. */
  async write(
    groupKey: string,
    id: string,
    path: string,
    source: AsyncIterable<Uint8Array>,
    options: WriteFileOptions,
    signal: AbortSignal,
  ): Promise<number> {
    const agent = await this.#agent(groupKey, id);
    const limit = new CallLimit(id, signal);
    try {
      limit.within(answerWithinMs);
      return await agent.writeFile(checked(path), unlimited(source, limit), { ...options, signal: limit.signal });
    } finally {
      limit.end();
    }
  }

  /** Makes what is missing above it too, unless `createParents` is false. */
  async mkdir(
    groupKey: string,
    id: string,
    path: string,
    { mode, createParents }: { mode?: number; createParents: boolean },
  ): Promise<void> {
    const agent = await this.#agent(groupKey, id);
    await answeredByGuest(id, async (signal) => {
      if (!createParents) await agent.stat(posix.dirname(checked(path)), { signal });
      await agent.mkdir(checked(path), { mode, signal });
    });
  }

  /** A large tree takes its time: bounded by the caller, not by a limit of ours. */
  async remove(
    groupKey: string,
    id: string,
    path: string,
    options: { recursive?: boolean },
    signal: AbortSignal,
  ): Promise<void> {
    const agent = await this.#agent(groupKey, id);
    await agent.remove(checked(path), { ...options, signal });
  }

  async #reading<Result>(
    groupKey: string,
    id: string,
    path: string,
    otherPath: string | undefined,
    work: (agent: GuestAgent, path: string) => Promise<Result>,
  ): Promise<Result> {
    const agent = await this.#agent(groupKey, id);
    try {
      return await work(agent, checked(path));
    } catch (error) {
      if (otherPath === undefined || otherPath === path || !isSandboxesError(error, "FileNotFound")) throw error;
      return work(agent, checked(otherPath));
    }
  }

  async #agent(groupKey: string, id: string): Promise<GuestAgent> {
    return (await this.#sandboxes.running(groupKey, id)).vm.agent;
  }
}

/** What the source yields; the limit holds but while it is waited for. */
async function* unlimited(source: AsyncIterable<Uint8Array>, limit: CallLimit): AsyncGenerator<Uint8Array> {
  limit.lift();
  for await (const chunk of source) {
    limit.within(answerWithinMs);
    yield chunk;
    limit.lift();
  }
  limit.within(answerWithinMs);
}

function checked(path: string): string {
  const bad = (why: string) =>
    new SandboxesError("Invalid", `Cannot use the path "${path}": ${why}`, { field: "path" });
  if (!path.startsWith("/")) throw bad("it is not absolute");
  if (path.includes("\0")) throw bad("it holds a zero byte");
  if (Buffer.byteLength(path) > maxPathBytes) throw bad(`it is longer than ${maxPathBytes} bytes`);
  return path;
}
