import { Readable, type Writable } from "node:stream";
import { pipeline } from "node:stream/promises";
import type { StdinSource } from "./exec";

/** Writes a source into a program's stdin. A program may end without reading it all; a source that fails rejects. */
export async function feed(source: StdinSource, stdin: Writable): Promise<void> {
  let failure: { cause: unknown } | undefined;
  async function* chunks(): AsyncGenerator<Uint8Array> {
    try {
      if (typeof source === "string") yield Buffer.from(source);
      else if (source instanceof Uint8Array) yield source;
      else for await (const chunk of source) yield typeof chunk === "string" ? Buffer.from(chunk) : chunk;
    } catch (cause) {
      failure = { cause };
      throw cause;
    }
  }
  try {
    await pipeline(Readable.from(chunks(), { objectMode: false }), stdin);
  } catch {
    // Otherwise it is the program that no longer reads; its exit says how it fared.
    if (failure) throw failure.cause;
  }
}
