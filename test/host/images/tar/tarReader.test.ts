import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, truncateSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import * as fc from "fast-check";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { encodeTarHeader } from "../../../../provider/host/images/tar/tarWriter";
import { directory, file, hardLink, readTar, symlink, tarOf } from "../testTar";

let work: string;

beforeAll(() => {
  work = mkdtempSync(join(tmpdir(), "tar-"));
});

afterAll(() => {
  rmSync(work, { recursive: true });
});

describe("TarReader", () => {
  it.each(["ustar", "gnu", "pax", "oldgnu", "v7"])("reads what GNU tar writes as %s", async (format) => {
    const source = join(work, `plain-${format}`);
    mkdirSync(join(source, "sub"), { recursive: true });
    writeFileSync(join(source, "sub", "hello"), "hello\n", { mode: 0o640 });
    const entries = await readTar(gnuTar([`--format=${format}`, "--mtime=@1500000000", "-C", source, "."]));
    expect(entries.map(({ path, type, data }) => [path, type, data.toString()])).toEqual([
      ["./", "directory", ""],
      ["./sub/", "directory", ""],
      ["./sub/hello", "file", "hello\n"],
    ]);
    expect(entries[2]).toMatchObject({ mode: 0o640, mtime: 1500000000, size: 6 });
  });

  it.each(["gnu", "pax"])("reads long names and link targets of the %s format", async (format) => {
    const source = join(work, `long-${format}`);
    const long = join("a".repeat(120), "ü".repeat(100));
    mkdirSync(join(source, "a".repeat(120)), { recursive: true });
    writeFileSync(join(source, long), "x");
    execFileSync("ln", ["-s", long, join(source, "link")]);
    const entries = await readTar(gnuTar([`--format=${format}`, "-C", source, "a".repeat(120), "link"]));
    expect(entries.map(({ path }) => Buffer.from(path, "latin1").toString())).toEqual([
      `${"a".repeat(120)}/`,
      long,
      "link",
    ]);
    expect(Buffer.from(entries[2]?.linkTarget ?? "", "latin1").toString()).toBe(long);
  });

  it.each([
    ["--format=gnu"],
    ["--format=pax", "--sparse-version=0.0"],
    ["--format=pax", "--sparse-version=0.1"],
    ["--format=pax", "--sparse-version=1.0"],
  ])("fills the holes of sparse files: %s %s", async (...options) => {
    const source = join(work, "sparse");
    rmSync(source, { recursive: true, force: true });
    mkdirSync(source);
    const expected = Buffer.alloc(3_000_000);
    writeFileSync(join(source, "holes"), "");
    // Enough regions for the continuation blocks of the old format.
    for (let region = 0; region < 40; region++) {
      const at = region * 70_000 + 5000;
      expected.write(`region ${region}`, at);
      execFileSync("dd", [`of=${source}/holes`, "conv=notrunc", "bs=1", `seek=${at}`, "status=none"], {
        input: `region ${region}`,
      });
    }
    truncateSync(join(source, "holes"), expected.length);
    const tar = gnuTar(["--sparse", ...options, "-C", source, "holes"]);
    expect(tar.length).toBeLessThan(expected.length / 2);
    const [entry] = await readTar(tar);
    expect(entry).toMatchObject({ path: "holes", size: expected.length });
    expect(entry?.data.equals(expected)).toBe(true);
  });

  it("keeps names, targets and attributes byte for byte through writing and reading", async () => {
    const bytes = (max: number) =>
      fc
        .uint8Array({ minLength: 1, maxLength: max })
        .map((data) => Buffer.from(data.map((byte) => byte || 1)).toString("latin1"));
    const entries = fc.record({
      path: bytes(300).filter((path) => !path.endsWith("/")),
      linkTarget: bytes(300),
      uid: fc.nat({ max: 0xfffffffe }),
      gid: fc.nat({ max: 0xfffffffe }),
      mtime: fc.nat({ max: 0xffffffff }),
      xattr: fc.uint8Array({ maxLength: 300 }).map((data) => Buffer.from(data).toString("latin1")),
    });
    await fc.assert(
      fc.asyncProperty(entries, fc.integer({ min: 1, max: 2000 }), async ({ xattr, ...fields }, chunkBytes) => {
        const entry = {
          ...fields,
          type: "symlink",
          mode: 0o4777,
          size: 0,
          xattrs: new Map([["user.x", xattr]]),
        } as const;
        const [read] = await readTar(encodeTarHeader(entry), chunkBytes);
        expect(read).toEqual({ ...entry, data: Buffer.alloc(0) });
      }),
      { numRuns: 200 },
    );
  });

  it("writes what GNU tar reads", () => {
    const tar = tarOf([
      directory("d"),
      file(`d/${"n".repeat(150)}`, "content", { uid: 3_000_000, mode: 0o755 }),
      symlink("s", "t".repeat(150)),
      hardLink("h", `d/${"n".repeat(150)}`),
    ]);
    const listed = execFileSync("tar", ["-tv", "--numeric-owner"], { input: tar }).toString();
    expect(listed).toContain(`-rwxr-xr-x 3000000/0 `);
    expect(listed).toContain(`d/${"n".repeat(150)}\n`);
    expect(listed).toContain(`s -> ${"t".repeat(150)}\n`);
    expect(listed).toContain(`h link to d/${"n".repeat(150)}\n`);
  });

  it("reads numbers beyond octal: negative times and large owners", async () => {
    const header = encodeTarHeader({
      path: "old",
      type: "file",
      mode: 0,
      uid: 0,
      gid: 0,
      mtime: 0,
      size: 0,
      linkTarget: "",
    });
    header.fill(0xff, 136, 148);
    header[147] = 0xf6;
    Buffer.from([0x80, 0, 0, 0, 0, 0x7f, 0xff, 0xff]).copy(header, 108);
    const [entry] = await readTar(withChecksum(header));
    expect(entry).toMatchObject({ mtime: -10, uid: 0x7fffff });
  });

  it.each([
    ["cut in a header", (tar: Buffer) => tar.subarray(0, 1200), /ends in a header/],
    ["cut in a file", (tar: Buffer) => tar.subarray(0, 600 - 88 + 10), /ends in the content of "big"/],
    ["not a tar", () => Buffer.alloc(2048, "x"), /no tar: a header's checksum/],
    [
      "of an unknown type",
      (tar: Buffer) => {
        const header = Buffer.from(tar.subarray(0, 512));
        header[156] = 0x5a;
        return withChecksum(header);
      },
      /unknown type "Z"/,
    ],
  ])("rejects a stream %s", async (_, spoil, message) => {
    const tar = tarOf([file("big", Buffer.alloc(100, 1)), file("next")]);
    await expect(readTar(spoil(tar))).rejects.toMatchObject({
      code: "ImageInvalid",
      message: expect.stringMatching(message),
    });
  });

  it("rejects extended headers that would fill the memory", async () => {
    const header = Buffer.from(tarOf([file("x", "y")]).subarray(0, 512));
    header.write("x", 156);
    header.write("77777777777", 124);
    await expect(readTar(withChecksum(header))).rejects.toMatchObject({
      code: "ImageInvalid",
      message: expect.stringMatching(/extended header has 8589934591 bytes/),
    });
  });

  it("survives any bytes: entries or ImageInvalid, never another end", async () => {
    const valid = tarOf([directory("d"), file("d/f", "data", { xattrs: { "user.a": "b" } }), symlink("s", "x")]);
    const changes = fc.array(fc.tuple(fc.nat({ max: valid.length - 1 }), fc.nat({ max: 255 })), {
      minLength: 1,
      maxLength: 8,
    });
    await fc.assert(
      fc.asyncProperty(changes, async (bytes) => {
        const tar = Buffer.from(valid);
        for (const [at, value] of bytes) tar[at] = value;
        for (let block = 0; block + 512 <= tar.length; block += 512) {
          if (tar.toString("latin1", block + 257, block + 262) === "ustar")
            withChecksum(tar.subarray(block, block + 512));
        }
        await readTar(tar).catch((error) => expect(error.code).toBe("ImageInvalid"));
      }),
      { numRuns: 500 },
    );
  });
});

function withChecksum(header: Buffer): Buffer {
  header.write(" ".repeat(8), 148);
  const sum = header.reduce((total, byte) => total + byte, 0);
  header.write(`${sum.toString(8).padStart(6, "0")}\0 `, 148);
  return header;
}

function gnuTar(args: string[]): Buffer {
  return execFileSync("tar", ["-c", "--sort=name", ...args], { maxBuffer: 64 * 1024 * 1024 });
}
