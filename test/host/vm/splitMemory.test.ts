import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { open } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { splitMemory } from "../../../provider/host/vm/qemu/splitMemory";

const page = 4096;
const memoryPages = 8;

function u32(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeUInt32BE(value);
  return bytes;
}

function u64(value: number): Buffer {
  return Buffer.concat([u32(Math.floor(value / 2 ** 32)), u32(value % 2 ** 32)]);
}

function named(name: string): Buffer {
  return Buffer.concat([Buffer.of(name.length), Buffer.from(name)]);
}

const footer = Buffer.concat([Buffer.of(0x7e), u32(2)]);
const endOfSection = Buffer.concat([u64(0x10), footer]);
const head = Buffer.concat([Buffer.from("QEVM"), u32(3), Buffer.of(7), u32(7), Buffer.from("microvm")]);
const setup = Buffer.concat([
  ...[Buffer.of(1), u32(2), named("ram"), u32(0), u32(4)],
  ...[
    u64((memoryPages + 2) * page + 4),
    named("m"),
    u64(memoryPages * page),
    u64(0),
    named("bios"),
    u64(2 * page),
    u64(0),
  ],
  endOfSection,
]);
const devices = Buffer.concat([Buffer.of(4), Buffer.from("anything at all"), Buffer.of(0)]);
const biosPages = Buffer.concat([
  u64(0x08),
  named("bios"),
  Buffer.alloc(page, 7),
  u64(page + 0x02 + 0x20),
  Buffer.of(0),
]);

function filled(index: number, byte: number, isFirst = false): Buffer {
  const flags = 0x08 + (isFirst ? 0 : 0x20);
  return Buffer.concat([u64(index * page + flags), isFirst ? named("m") : Buffer.alloc(0), Buffer.alloc(page, byte)]);
}

function empty(index: number): Buffer {
  return Buffer.concat([u64(index * page + 0x02 + 0x20), Buffer.of(0)]);
}

const stream = Buffer.concat([
  ...[head, setup],
  ...[Buffer.of(2), u32(2), filled(0, 1, true), empty(1), filled(2, 3), filled(3, 4), endOfSection],
  ...[Buffer.of(2), u32(2), filled(7, 8, true), biosPages, endOfSection],
  // Again, and otherwise: the later one counts.
  ...[
    Buffer.of(3),
    u32(2),
    Buffer.concat([u64(3 * page + 0x02), named("m"), Buffer.of(0)]),
    filled(2, 9),
    endOfSection,
  ],
  devices,
]);
const withoutMemory = Buffer.concat([
  ...[head, setup, Buffer.of(2), u32(2), endOfSection],
  ...[Buffer.of(2), u32(2), biosPages, endOfSection, Buffer.of(3), u32(2), endOfSection, devices],
]);

describe("a migration stream", () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "split-"));
  });

  afterEach(() => {
    rmSync(folder, { recursive: true });
  });

  async function split(bytes: Buffer, chunkBytes: number): Promise<{ state: Buffer; memory: Buffer }> {
    const path = join(folder, "memory");
    const file = await open(path, "w");
    await file.truncate(memoryPages * page);
    async function* chunks() {
      for (let at = 0; at < bytes.length; at += chunkBytes) yield bytes.subarray(at, at + chunkBytes);
    }
    try {
      return { state: await splitMemory(chunks(), file, memoryPages * page), memory: readFileSync(path) };
    } finally {
      await file.close();
    }
  }

  it.each([1, 7, 100, 4096, 5000, 1_000_000])("is taken apart however its bytes come, %i at a time", async (size) => {
    const { state, memory } = await split(stream, size);
    expect(state.equals(withoutMemory)).toBe(true);
    const bytes = Array.from({ length: memoryPages }, (_, index) => memory[index * page]);
    expect(bytes).toEqual([1, 0, 9, 0, 0, 0, 0, 8]);
    expect(memory[3 * page - 1]).toBe(9);
  });

  it("is refused when it is cut off, whatever is missing", async () => {
    for (const length of [0, 20, head.length + 30, stream.length - devices.length - 1, stream.length - 3 * page]) {
      await expect(split(stream.subarray(0, length), 500)).rejects.toMatchObject({ code: "Internal" });
    }
  });

  it("is refused when a page lies outside of the memory, or a record is of another kind", async () => {
    const start = Buffer.concat([head, setup, Buffer.of(2), u32(2)]);
    const rest = Buffer.concat([endOfSection, Buffer.of(3), u32(2), endOfSection, devices]);
    for (const record of [filled(memoryPages, 1, true), Buffer.concat([u64(0x40), named("m"), Buffer.alloc(page)])]) {
      await expect(split(Buffer.concat([start, record, rest]), 500)).rejects.toMatchObject({ code: "Internal" });
    }
    await expect(split(Buffer.alloc(200_000), 5000)).rejects.toMatchObject({ code: "Internal" });
  });
});
