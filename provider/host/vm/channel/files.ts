import { posix } from "node:path";
import type { Readable } from "node:stream";
import { SandboxesError } from "../../../client/errors";
import type { CallOptions, GuestFileInfo, GuestSpace, WriteFileOptions } from "../guestAgent";
import type { GuestChannel } from "./channel";
import { failureOf } from "./failures";
import { Fields, FieldWriter } from "./fields";
import { Interruption } from "./interruption";
import { OutputReadable } from "./output";
import { tag } from "./protocol";
import type { GuestStream } from "./stream";

/** What is held of one directory at most; a guest could send for ever. */
const maxEntries = 100_000;
const maxListingBytes = 32 * 1024 * 1024;
/** Linux's own limits. */
const maxNameBytes = 255;
const maxTargetBytes = 4095;

const fileTypes = { 1: "file", 2: "directory", 3: "symlink" } as const;

export async function stat(channel: GuestChannel, path: string, options?: CallOptions): Promise<GuestFileInfo> {
  const fields = await channel.call("stat", pathFields(path), `Reading "${path}"`, options);
  return decodeInfo(path, fields);
}

export async function mkdir(
  channel: GuestChannel,
  path: string,
  options: CallOptions & { mode?: number } = {},
): Promise<void> {
  const request = pathFields(path);
  if (options.mode !== undefined) request.number(tag.mode, options.mode);
  await channel.call("mkdir", request, `Making the directory "${path}"`, options);
}

export async function remove(
  channel: GuestChannel,
  path: string,
  options: CallOptions & { recursive?: boolean } = {},
): Promise<void> {
  const request = pathFields(path).flag(tag.recursive, options.recursive);
  await channel.call("remove", request, `Removing "${path}"`, options);
}

export function list(channel: GuestChannel, path: string, options: CallOptions = {}): Promise<GuestFileInfo[]> {
  const { signal } = options;
  const entries: GuestFileInfo[] = [];
  let listingBytes = 0;
  return new Promise<GuestFileInfo[]>((resolve, reject) => {
    signal?.throwIfAborted();
    const settle = (action: () => void) => {
      signal?.removeEventListener("abort", abort);
      action();
    };
    const breakOff = (reason: unknown) => {
      stream.reset();
      settle(() => reject(reason));
    };
    const abort = () => breakOff(signal?.reason);
    const stream: GuestStream = channel.open("list", pathFields(path), {
      data: (output, bytes) => {
        for (const entry of new Fields(bytes).all(tag.entry)) entries.push(decodeEntry(path, new Fields(entry)));
        listingBytes += bytes.length;
        if (entries.length > maxEntries || listingBytes > maxListingBytes) {
          breakOff(new SandboxesError("TooLarge", `Listing "${path}": it has more than ${maxEntries} entries`));
        } else {
          stream.consumed(output, bytes.length);
        }
      },
      ended: (fields) => {
        const failure = failureOf(fields, `Listing "${path}"`);
        settle(() => (failure ? reject(failure) : resolve(entries.sort((a, b) => (a.name < b.name ? -1 : 1)))));
      },
      lost: (error) => settle(() => reject(error)),
    });
    signal?.addEventListener("abort", abort);
  });
}

export function readFile(
  channel: GuestChannel,
  path: string,
  options: { offset?: number; length?: number } & CallOptions = {},
): Promise<Readable> {
  options.signal?.throwIfAborted();
  const request = pathFields(path);
  if (options.offset !== undefined) request.number(tag.offset, options.offset);
  if (options.length !== undefined) request.number(tag.length, options.length);
  return readStream(channel, "readFile", request, path, options);
}

export async function archive(channel: GuestChannel, path: string): Promise<Readable> {
  return readStream(channel, "archive", pathFields(path), path);
}

export async function space(channel: GuestChannel, path: string, options?: CallOptions): Promise<GuestSpace> {
  const fields = await channel.call("space", pathFields(path), `Measuring the space at "${path}"`, options);
  return {
    totalBytes: fields.requiredNumber(tag.size),
    freeBytes: fields.requiredNumber(tag.free),
    availableBytes: fields.requiredNumber(tag.available),
  };
}

function readStream(
  channel: GuestChannel,
  kind: "readFile" | "archive",
  request: FieldWriter,
  path: string,
  { signal }: CallOptions = {},
): Promise<Readable> {
  return new Promise<Readable>((resolve, reject) => {
    let stream!: GuestStream;
    const content = new OutputReadable(() => stream, 0);
    const fail = (error: Error) => {
      signal?.removeEventListener("abort", abort);
      reject(error);
      content.destroy(error);
    };
    const abort = () => fail(signal?.reason);
    signal?.addEventListener("abort", abort);
    stream = channel.open(kind, request, {
      opened: () => {
        signal?.removeEventListener("abort", abort);
        resolve(content);
      },
      data: (_output, bytes) => content.accept(bytes),
      ended: (fields) => {
        const failure = failureOf(fields, `Reading "${path}"`);
        if (failure) fail(failure);
        else content.complete();
      },
      lost: fail,
    });
    // A reader that stops early ends the call; after its end this does nothing.
    content.once("close", () => stream.reset());
  });
}

export async function writeFile(
  channel: GuestChannel,
  path: string,
  source: AsyncIterable<Uint8Array>,
  options: WriteFileOptions & CallOptions = {},
): Promise<number> {
  const { signal } = options;
  signal?.throwIfAborted();
  const request = pathFields(path).flag(tag.createDirs, options.createDirs);
  if (options.mode !== undefined) request.number(tag.mode, options.mode);
  // The guest may fail (no space) and the caller leave while the source is still silent, or the guest.
  const interruption = new Interruption();
  const abort = () => interruption.interrupt(signal?.reason);
  const opened = Promise.withResolvers<void>();
  const written = Promise.withResolvers<number>();
  const stream = channel.open("writeFile", request, {
    opened: () => opened.resolve(),
    ended: (fields) => {
      const failure = failureOf(fields, `Writing "${path}"`);
      if (failure) interruption.interrupt(failure);
      else written.resolve(fields.requiredNumber(tag.size));
    },
    lost: (error) => interruption.interrupt(error),
  });
  signal?.addEventListener("abort", abort);
  const iterator = source[Symbol.asyncIterator]();
  try {
    await interruption.wait(opened.promise);
    for (;;) {
      const next = await interruption.wait(iterator.next());
      if (next.done) break;
      await interruption.wait(new Promise<void>((done) => stream.send(next.value, done)));
    }
    stream.sendEof();
    return await interruption.wait(written.promise);
  } catch (error) {
    stream.reset();
    iterator.return?.().catch(() => {}); // the source's own trouble with ending early is not ours
    throw error;
  } finally {
    signal?.removeEventListener("abort", abort);
  }
}

function pathFields(path: string): FieldWriter {
  if (!path.startsWith("/") || path.includes("\0")) {
    throw new SandboxesError("Invalid", `Using the path "${path.replaceAll("\0", "\\0")}": it is not absolute`, {
      field: "path",
    });
  }
  return new FieldWriter().bytes(tag.path, path);
}

function decodeEntry(folder: string, fields: Fields): GuestFileInfo {
  const bytes = fields.get(tag.name) ?? Buffer.alloc(0);
  const name = bytes.toString();
  if (["", ".", ".."].includes(name) || /[/\0]/.test(name) || bytes.length > maxNameBytes) {
    throw new SandboxesError("GuestFailed", "Reading from the guest: a directory entry has no proper name");
  }
  return decodeInfo(posix.join(folder, name), fields, name);
}

function decodeInfo(path: string, fields: Fields, name = posix.basename(path)): GuestFileInfo {
  const target = fields.get(tag.target)?.subarray(0, maxTargetBytes).toString();
  return {
    name,
    path: posix.normalize(path),
    sizeBytes: fields.requiredNumber(tag.size),
    mode: fields.requiredNumber(tag.mode) & 0o7777,
    type: fileTypes[fields.requiredNumber(tag.fileType) as keyof typeof fileTypes] ?? "other",
    ...(target === undefined ? {} : { symlinkTarget: target }),
    uid: fields.requiredNumber(tag.uid),
    gid: fields.requiredNumber(tag.gid),
    modifiedMs: fields.requiredNumber(tag.modifiedMs),
  };
}
