import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { gzipSync, zstdCompressSync } from "node:zlib";
import { afterAll, describe, expect, it } from "vitest";
import { decompress, extractVmlinux } from "../../../provider/host/vm/kernel/bzImage";
import { packCpio } from "../../../provider/host/vm/kernel/cpio";
import { packInitramfs } from "../../../provider/host/vm/kernel/initramfs";
import { collectModules } from "../../../provider/host/vm/kernel/modules";

const folder = mkdtempSync(join(tmpdir(), "sandboxes-kernel-"));
afterAll(() => rmSync(folder, { recursive: true }));

const elf = Buffer.concat([Buffer.from("\x7fELF", "latin1"), Buffer.alloc(100_000, "kernel "), randomBytes(10_000)]);

/** A bzImage as far as its payload is concerned. */
function bzImage(payload: Buffer): Buffer {
  const header = Buffer.alloc(5 * 512 + 16);
  header[0x1f1] = 4;
  header.write("HdrS", 0x202);
  header.writeUInt32LE(16, 0x248);
  header.writeUInt32LE(payload.length, 0x24c);
  return Buffer.concat([header, payload, Buffer.from("trailer")]);
}

function packed(tool: string, ...args: string[]): Buffer {
  return execFileSync(tool, args, { input: elf, maxBuffer: 1 << 26 });
}

describe("the kernel inside a bzImage", () => {
  // The kernel's build appends the size of what was packed.
  const size = Buffer.alloc(4);
  size.writeUInt32LE(elf.length);
  it.each([
    ["gzip", () => gzipSync(elf)],
    ["zstd", () => zstdCompressSync(elf)],
    ["xz", () => packed("xz", "-c", "--check=crc32")],
    ["lz4", () => Buffer.concat([packed("lz4", "-l", "-9", "-c", "-q"), size])],
  ])("is found when it is packed with %s", async (_name, pack) => {
    expect((await extractVmlinux(bzImage(pack()))).equals(elf)).toBe(true);
  });

  it("is the file itself when that is an ELF file", async () => {
    expect(await extractVmlinux(elf)).toBe(elf);
  });

  it("is missed with a sentence in anything else", async () => {
    await expect(extractVmlinux(Buffer.alloc(4096))).rejects.toThrow("neither an ELF file nor a bzImage");
    await expect(extractVmlinux(bzImage(Buffer.from("nothing")))).rejects.toThrow("not an ELF file");
  });

  it("is unpacked over more than one block of lz4", async () => {
    const large = Buffer.concat([randomBytes(9 << 20), Buffer.alloc(9 << 20, "ab")]);
    const lz4 = execFileSync("lz4", ["-l", "-c", "-q"], { input: large, maxBuffer: 1 << 26 });
    expect((await decompress(lz4)).equals(large)).toBe(true);
  });
});

describe("modules", () => {
  const module = (...needs: string[]): Buffer => Buffer.from(`ELF\0license=GPL\0depends=${needs.join(",")}\0name=x\0`);

  it("come in the order of loading, with what they depend on and without what is built in", async () => {
    const tree = join(folder, "modules");
    mkdirSync(join(tree, "kernel"), { recursive: true });
    writeFileSync(join(tree, "modules.builtin"), "kernel/fs/squashfs/squashfs.ko\nkernel/fs/ext4/ext4.ko\n");
    writeFileSync(join(tree, "kernel/virtio_mmio.ko"), module("virtio"));
    writeFileSync(join(tree, "kernel/virtio_blk.ko.zst"), zstdCompressSync(module("virtio", "virtio-ring")));
    writeFileSync(join(tree, "kernel/virtio_console.ko.gz"), gzipSync(module()));
    writeFileSync(join(tree, "kernel/virtio.ko"), module("virtio_ring"));
    writeFileSync(join(tree, "kernel/virtio-ring.ko"), module());
    writeFileSync(join(tree, "kernel/overlay.ko"), module());
    const names = (await collectModules(tree)).map((entry) => entry.name);
    expect(names).toEqual(["virtio_ring", "virtio", "virtio_mmio", "virtio_console", "virtio_blk", "overlay"]);
  });

  it("that are missing are named", async () => {
    const empty = join(folder, "empty");
    mkdirSync(empty);
    await expect(collectModules(empty)).rejects.toThrow(/no module "/);
  });
});

describe("the initramfs", () => {
  it("is read by cpio's rules and has the same bytes each time", () => {
    const modules = [{ name: "virtio", content: Buffer.from("odd") }];
    const archive = packInitramfs(Buffer.from("agent"), modules);
    expect(packInitramfs(Buffer.from("agent"), modules).equals(archive)).toBe(true);
    expect(listCpio(archive)).toEqual(["dev", "proc", "sys", "modules", "init", "modules/order", "modules/virtio.ko"]);
    expect(archive.includes("virtio.ko\n")).toBe(true);
  });

  it("aligns every part to four bytes", () => {
    for (const length of [0, 1, 2, 3, 4]) {
      expect(packCpio([{ path: "a", mode: 0o100644, content: new Uint8Array(length) }]).length % 4).toBe(0);
    }
  });
});

/** Names in a newc archive; throws where the format is broken. */
function listCpio(archive: Buffer): string[] {
  const names: string[] = [];
  for (let position = 0; ; ) {
    expect(archive.toString("latin1", position, position + 6)).toBe("070701");
    const field = (index: number): number =>
      Number.parseInt(archive.toString("latin1", position + 6 + index * 8, position + 14 + index * 8), 16);
    const [contentSize, nameSize] = [field(6), field(11)];
    const name = archive.toString("utf8", position + 110, position + 110 + nameSize - 1);
    if (name === "TRAILER!!!") return names;
    names.push(name);
    const content = (position + 110 + nameSize + 3) & ~3;
    position = (content + contentSize + 3) & ~3;
  }
}
