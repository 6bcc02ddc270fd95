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
  const decoder = new TextDecoder("utf-8", { ignoreBOM: true });
  let text = "";
  let left = maxBytes;
  let truncated = false;
  for await (const chunk of stream as AsyncIterable<Uint8Array>) {
    if (chunk.length > left) truncated = true;
    if (left === 0) continue;
    text += decoder.decode(chunk.subarray(0, left), { stream: true });
    left -= Math.min(left, chunk.length);
  }
  if (!truncated) text += decoder.decode();
  return { text, truncated };
}
