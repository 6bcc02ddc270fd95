import zlib from "node:zlib";
import { describe, expect, it } from "vitest";
import { decompressZstd } from "../../../provider/host/images/zstdFrames";
import { chunksOf } from "./testTar";

const noise = Buffer.from(Array.from({ length: 300_000 }, (_, index) => (index * 7919) % 251));
const skippable = Buffer.from([0x53, 0x2a, 0x4d, 0x18, 3, 0, 0, 0, 1, 2, 3]);

describe("decompressZstd", () => {
  it.each([1, 1000, 1_000_000])(
    "reads all frames, and over skippable ones, in chunks of %i bytes",
    async (chunkBytes) => {
      const checked = { params: { [zlib.constants.ZSTD_c_checksumFlag]: 1 } };
      const stream = Buffer.concat([
        zlib.zstdCompressSync(Buffer.from("first")),
        skippable,
        zlib.zstdCompressSync(Buffer.alloc(100_000, "a"), checked),
        zlib.zstdCompressSync(Buffer.alloc(0)),
        zlib.zstdCompressSync(noise.subarray(0, chunkBytes === 1 ? 3000 : noise.length)),
        skippable,
      ]);
      const expected = Buffer.concat([
        Buffer.from("first"),
        Buffer.alloc(100_000, "a"),
        noise.subarray(0, chunkBytes === 1 ? 3000 : noise.length),
      ]);
      expect((await read(stream, chunkBytes)).equals(expected)).toBe(true);
    },
  );

  it("reads what the compressor streams without knowing the size", async () => {
    const compressor = zlib.createZstdCompress();
    compressor.write(noise);
    compressor.end("tail");
    const parts: Buffer[] = [];
    for await (const part of compressor) parts.push(part);
    expect((await read(Buffer.concat(parts), 5000)).equals(Buffer.concat([noise, Buffer.from("tail")]))).toBe(true);
  });

  it.each([
    ["cut off in a frame", (bytes: Buffer) => bytes.subarray(0, -5)],
    ["cut off in a magic number", (bytes: Buffer) => Buffer.concat([bytes, bytes.subarray(0, 2)])],
    ["followed by garbage", (bytes: Buffer) => Buffer.concat([bytes, Buffer.from("garbage")])],
  ])("rejects a stream %s", async (_, spoil) => {
    await expect(read(spoil(zlib.zstdCompressSync(noise)), 1000)).rejects.toMatchObject({ code: "ImageInvalid" });
  });
});

async function read(bytes: Buffer, chunkBytes: number): Promise<Buffer> {
  const parts: Buffer[] = [];
  for await (const part of decompressZstd(chunksOf(bytes, chunkBytes))) parts.push(part);
  return Buffer.concat(parts);
}
