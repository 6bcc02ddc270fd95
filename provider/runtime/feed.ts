import type { Writable } from "node:stream";
import type { StdinSource } from "./exec";

type Chunk = string | Uint8Array;

/**
 * Writes a source into a program's stdin and ends it. A program may end without reading it all, and the source is then
 * told to return, not waited for; a source that fails rejects.
 */
export async function feed(source: StdinSource, stdin: Writable): Promise<void> {
  const iterator = iteratorOf(source);
  for (;;) {
    const next = await unlessClosed(stdin, iterator.next());
    if (next === undefined) return letGo(iterator);
    if (next.done) break;
    await unlessClosed(stdin, write(stdin, next.value));
  }
  stdin.end();
}

function iteratorOf(source: StdinSource): AsyncIterator<Chunk> {
  if (typeof source !== "string" && !(source instanceof Uint8Array)) return source[Symbol.asyncIterator]();
  return (async function* () {
    yield source;
  })();
}

/** Undefined as soon as nobody reads any more. */
function unlessClosed<T>(stdin: Writable, work: Promise<T>): Promise<T | undefined> {
  return new Promise((resolve, reject) => {
    const close = () => resolve(undefined);
    if (stdin.destroyed) close();
    stdin.once("close", close);
    work.then(resolve, reject).finally(() => stdin.off("close", close));
  });
}

function write(stdin: Writable, chunk: Chunk): Promise<void> {
  // A failed write has closed the stream, which is what counts.
  return new Promise((resolve) => stdin.write(chunk, () => resolve()));
}

function letGo(iterator: AsyncIterator<Chunk>): void {
  iterator.return?.().catch(() => {}); // Nobody is left to be told.
}
