import type { Readable } from "node:stream";

/** What a program wrote to one stream, as far as the limit let it. */
export interface CollectedOutput {
  text: string;
  truncated: boolean;
}

/**
 * Reads a stream to its end and keeps its first `maxBytes`. The rest is read and dropped, so that the program goes on
 * rather than stand still before a full pipe. Bytes that are no UTF-8 become U+FFFD; a character cut by the limit goes.
 */
export async function collectOutput(stream: Readable, maxBytes: number): Promise<CollectedOutput> {
  // One block that grows: a guest that sends single bytes must not make a million objects here.
  let block = Buffer.alloc(0);
  let length = 0;
  let truncated = false;
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    const taken = chunk.subarray(0, maxBytes - length);
    if (taken.length < chunk.length) truncated = true;
    if (length + taken.length > block.length) {
      const larger = Buffer.allocUnsafe(Math.min(maxBytes, Math.max(2 * block.length, length + taken.length)));
      block.copy(larger, 0, 0, length);
      block = larger;
    }
    block.set(taken, length);
    length += taken.length;
  }
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  return { text: decoder.decode(block.subarray(0, length), { stream: truncated }), truncated };
}
