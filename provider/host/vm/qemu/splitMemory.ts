import type { FileHandle } from "node:fs/promises";
import { SandboxesError } from "../../../client/errors";

/**
 * Takes QEMU's migration stream of a stopped machine apart: the pages of its memory go to a sparse file, the rest is
 * what QEMU would have sent of a machine whose memory is in a file (`x-ignore-shared`). So a saved machine is started
 * as a template is, by mapping its memory copy-on-write. Format: QEMU's migration/savevm.c and migration/ram.c.
 */
export async function splitMemory(
  stream: AsyncIterable<Buffer>,
  memory: FileHandle,
  memoryBytes: number,
): Promise<Buffer> {
  const splitter = new Splitter(memoryBytes);
  for await (const chunk of stream) {
    for (const { offset, pages } of splitter.push(chunk)) await writeAll(memory, pages, offset);
  }
  return splitter.finish();
}

async function writeAll(file: FileHandle, pages: Buffer[], offset: number): Promise<void> {
  const total = pages.length * pageBytes;
  const { bytesWritten } = await file.writev(pages, offset);
  if (bytesWritten === total) return;
  // A full disk writes what fits first, and says so with the next byte.
  await file.write(Buffer.concat(pages), bytesWritten, total - bytesWritten, offset + bytesWritten);
}

interface Run {
  offset: number;
  pages: Buffer[];
}

const pageBytes = 4096;
const sectionStart = 0x01;
const sectionPart = 0x02;
const sectionEnd = 0x03;
const sectionFooter = 0x7e;
const ramName = Buffer.from("\x03ram");
const flag = { zero: 0x02, memorySize: 0x04, page: 0x08, endOfSection: 0x10, continued: 0x20 };
/** All parts are shorter than a page and a few names. */
const maxRestBytes = 64 * 1024;
/** Devices and firmware take some hundred KiB. */
const maxStateBytes = 64 * 2 ** 20;

type Step = "head" | "blocks" | "section" | "records" | "rest";

class Splitter {
  readonly #memoryBytes: number;
  #rest: Buffer = Buffer.alloc(0);
  #state: Buffer[] = [];
  #stateBytes = 0;
  #step: Step = "head";
  #section = 0;
  #isLast = false;
  /** Name of the block that is the machine's memory, and whether the records are of it. */
  #memoryName: string | undefined;
  #inMemory = false;
  readonly #written: Uint8Array;

  constructor(memoryBytes: number) {
    this.#memoryBytes = memoryBytes;
    this.#written = new Uint8Array(Math.ceil(memoryBytes / pageBytes / 8));
  }

  /** Pages to write, neighbours together; valid until the next call. */
  push(chunk: Buffer): Run[] {
    const bytes = this.#rest.length === 0 ? chunk : Buffer.concat([this.#rest, chunk]);
    const runs: Run[] = [];
    let at = 0;
    while (at < bytes.length) {
      const used = this.#take(bytes, at, runs);
      if (used === 0) break;
      at += used;
    }
    this.#rest = bytes.subarray(at);
    if (this.#rest.length > maxRestBytes) throw notUnderstood("a part of it does not end");
    return runs;
  }

  finish(): Buffer {
    if (this.#step !== "rest" || this.#rest.length > 0) throw notUnderstood("it is cut off");
    return Buffer.concat(this.#state);
  }

  /** Bytes that were understood from `at` on; 0 when more have to come first. */
  #take(bytes: Buffer, at: number, runs: Run[]): number {
    switch (this.#step) {
      case "head":
        return this.#takeHead(bytes, at);
      case "blocks":
        return this.#takeBlocks(bytes, at);
      case "section":
        return this.#takeSection(bytes, at);
      case "records":
        return this.#takeRecord(bytes, at, runs);
      case "rest":
        return this.#keep(bytes, at, bytes.length - at);
    }
  }

  /** Up to and with the head of the memory's section: type, id, name, instance, version. */
  #takeHead(bytes: Buffer, at: number): number {
    const name = bytes.indexOf(ramName, at);
    const end = name + ramName.length + 8;
    if (name < 5 || bytes.length < end) return 0;
    if (bytes[name - 5] !== sectionStart) throw notUnderstood("the memory does not begin a section");
    this.#section = bytes.readUInt32BE(name - 4);
    this.#step = "blocks";
    return this.#keep(bytes, at, end - at);
  }

  /** The list of memory blocks: total size, then of each its name, size and address. */
  #takeBlocks(bytes: Buffer, at: number): number {
    if (bytes.length < at + 8) return 0;
    const head = bytes.readBigUInt64BE(at);
    if ((Number(head & 0xfffn) & flag.memorySize) === 0) throw notUnderstood("it has no list of memory blocks");
    let left = Number(head & ~0xfffn);
    let next = at + 8;
    while (left > 0) {
      const nameEnd = next + 1 + (bytes[next] ?? 0);
      if (bytes.length < nameEnd + 16) return 0;
      const size = Number(bytes.readBigUInt64BE(nameEnd));
      if (size === this.#memoryBytes) this.#memoryName = bytes.toString("latin1", next + 1, nameEnd);
      left -= size;
      next = nameEnd + 16;
    }
    if (this.#memoryName === undefined) throw notUnderstood(`it has no memory block of ${this.#memoryBytes} bytes`);
    this.#step = "records";
    return this.#keep(bytes, at, next - at);
  }

  #takeSection(bytes: Buffer, at: number): number {
    if (bytes.length < at + 5) return 0;
    const type = bytes[at];
    const isOurs = bytes.readUInt32BE(at + 1) === this.#section;
    if (!isOurs || (type !== sectionPart && type !== sectionEnd)) throw notUnderstood("a section is out of order");
    this.#isLast = type === sectionEnd;
    this.#step = "records";
    return this.#keep(bytes, at, 5);
  }

  #takeRecord(bytes: Buffer, at: number, runs: Run[]): number {
    if (bytes.length < at + 8) return 0;
    const low = bytes.readUInt32BE(at + 4);
    const flags = low & 0xfff;
    if (flags === flag.endOfSection) {
      if (bytes.length < at + 13) return 0;
      const ends = bytes[at + 8] === sectionFooter && bytes.readUInt32BE(at + 9) === this.#section;
      if (!ends) throw notUnderstood("a section of the memory does not end");
      this.#step = this.#isLast ? "rest" : "section";
      return this.#keep(bytes, at, 13);
    }
    let content = at + 8;
    if ((flags & flag.continued) === 0) {
      content += 1 + (bytes[content] ?? 0);
      if (bytes.length < content) return 0;
      this.#inMemory = bytes.toString("latin1", at + 9, content) === this.#memoryName;
    }
    const kind = flags & ~flag.continued;
    if (kind !== flag.page && kind !== flag.zero) throw notUnderstood(`a page has the flags ${flags}`);
    const end = content + (kind === flag.page ? pageBytes : 1);
    if (bytes.length < end) return 0;
    if (!this.#inMemory) return this.#keep(bytes, at, end - at);
    const offset = bytes.readUInt32BE(at) * 2 ** 32 + (low - flags);
    this.#page(offset, kind === flag.page ? bytes.subarray(content, end) : undefined, runs);
    return end - at;
  }

  /** Undefined: the page is empty, as the file is. */
  #page(offset: number, page: Buffer | undefined, runs: Run[]): void {
    if (offset + pageBytes > this.#memoryBytes) throw notUnderstood("a page is beyond the memory");
    const index = offset / pageBytes;
    const bit = 1 << (index & 7);
    const before = this.#written[index >> 3] ?? 0;
    if (!page && (before & bit) === 0) return;
    this.#written[index >> 3] = before | bit;
    const last = runs.at(-1);
    const isNext = last && last.offset + last.pages.length * pageBytes === offset;
    if (isNext) last.pages.push(page ?? Buffer.alloc(pageBytes));
    else runs.push({ offset, pages: [page ?? Buffer.alloc(pageBytes)] });
  }

  /** Copied: what it is part of is used again. */
  #keep(bytes: Buffer, at: number, count: number): number {
    this.#stateBytes += count;
    if (this.#stateBytes > maxStateBytes) throw notUnderstood("its devices are too large");
    this.#state.push(Buffer.from(bytes.subarray(at, at + count)));
    return count;
  }
}

function notUnderstood(why: string): SandboxesError {
  return new SandboxesError("Internal", `QEMU saved the machine in a form that is not understood: ${why}`);
}
