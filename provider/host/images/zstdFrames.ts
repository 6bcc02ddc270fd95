import { Readable } from "node:stream";
import { pipeline } from "node:stream/promises";
import zlib from "node:zlib";
import { SandboxesError } from "../../client/errors";
import { ByteCursor } from "./tar/byteCursor";

const frameMagic = 0xfd2fb528;
const skippableMagic = 0x184d2a50;

/**
 * Decompresses all frames of a zstd stream. Node's own decompressor stops after the first one without a word, and
 * container tools write many: `zstd:chunked` layers hold one per file.
 */
export async function* decompressZstd(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  const cursor = new ByteCursor(source);
  try {
    for (;;) {
      const magicBytes = await cursor.take(4);
      if (magicBytes.length === 0) return;
      const magic = magicBytes.length === 4 ? magicBytes.readUInt32LE() : 0;
      if ((magic & 0xfffffff0) >>> 0 === skippableMagic) await skipFrame(cursor);
      else if (magic === frameMagic) yield* decompressFrame(frame(magicBytes, cursor));
      else throw malformed();
    }
  } finally {
    await cursor.close();
  }
}

async function* decompressFrame(bytes: AsyncGenerator<Buffer>): AsyncGenerator<Buffer> {
  const decompressor = zlib.createZstdDecompress({ chunkSize: 256 * 1024 });
  // A failure of either side ends the decompressor, and so the loop below, with the same error.
  const fed = pipeline(Readable.from(bytes, { objectMode: false }), decompressor);
  fed.catch(() => undefined);
  try {
    for await (const chunk of decompressor) yield chunk as Buffer;
    await fed;
  } finally {
    decompressor.destroy();
  }
}

async function skipFrame(cursor: ByteCursor): Promise<void> {
  const size = (await exactly(cursor, 4)).readUInt32LE();
  if ((await cursor.skip(size)) < size) throw malformed();
}

/** One frame's bytes, found by walking its block headers (RFC 8878, section 3.1.1). */
async function* frame(magic: Buffer, cursor: ByteCursor): AsyncGenerator<Buffer> {
  const descriptor = await exactly(cursor, 1);
  const flags = descriptor[0] as number;
  const isSingleSegment = (flags & 0x20) !== 0;
  const contentSizeBytes = [isSingleSegment ? 1 : 0, 2, 4, 8][flags >> 6] as number;
  const dictionaryBytes = [0, 1, 2, 4][flags & 3] as number;
  const header = await exactly(cursor, (isSingleSegment ? 0 : 1) + dictionaryBytes + contentSizeBytes);
  yield Buffer.concat([magic, descriptor, header]);
  for (let isLast = false; !isLast; ) {
    const blockHeader = await exactly(cursor, 3);
    const value = blockHeader.readUIntLE(0, 3);
    isLast = (value & 1) === 1;
    // A run-length block stores one byte, whatever its size.
    const size = ((value >> 1) & 3) === 1 ? 1 : value >> 3;
    yield blockHeader;
    yield await exactly(cursor, size);
  }
  if (flags & 4) yield await exactly(cursor, 4);
}

async function exactly(cursor: ByteCursor, count: number): Promise<Buffer> {
  const bytes = await cursor.take(count);
  if (bytes.length < count) throw malformed("it is cut off");
  return bytes;
}

function malformed(why = "it is no zstd stream"): SandboxesError {
  return new SandboxesError("ImageInvalid", `the compressed stream cannot be read: ${why}`);
}
