import { createHash } from "node:crypto";
import { open } from "node:fs/promises";

const chunkBytes = 1024 * 1024;

/** `sha256:…` of a file, and its size; the next chunk is read while one is hashed, and nothing is left to collect. */
export async function hashFile(path: string, signal?: AbortSignal): Promise<{ digest: string; sizeBytes: number }> {
  await using file = await open(path);
  const hash = createHash("sha256");
  const read = (into: Buffer, from: number) => file.read(into, 0, into.length, from);
  let [current, next] = [Buffer.allocUnsafe(chunkBytes), Buffer.allocUnsafe(chunkBytes)];
  let sizeBytes = 0;
  for (let { bytesRead } = await read(current, 0); bytesRead > 0; ) {
    signal?.throwIfAborted();
    sizeBytes += bytesRead;
    const reading = read(next, sizeBytes);
    hash.update(current.subarray(0, bytesRead));
    ({ bytesRead } = await reading);
    [current, next] = [next, current];
  }
  return { digest: `sha256:${hash.digest("hex")}`, sizeBytes };
}
