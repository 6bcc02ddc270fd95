import { PassThrough, Readable } from "node:stream";

/** A body that is sent as it comes; `failure` holds what its source threw, which is not the connection's fault. */
export interface SentBody {
  readonly stream: Readable;
  readonly failure: () => { cause: unknown } | undefined;
}

export function sendBody(source: AsyncIterable<Uint8Array>): SentBody {
  let failure: { cause: unknown } | undefined;
  async function* chunks(): AsyncGenerator<Uint8Array> {
    const iterator = source[Symbol.asyncIterator]();
    try {
      for (;;) {
        // Only around this: what is thrown in at the yield is the connection's end.
        const next = await iterator.next().catch((cause) => {
          failure = { cause };
          throw cause;
        });
        if (next.done) return;
        yield next.value;
      }
    } finally {
      await iterator.return?.();
    }
  }
  return { stream: Readable.from(chunks(), { objectMode: false }), failure: () => failure };
}

/** The same bytes; a failure on the way is told as `toError` has it. Destroying the result ends the request. */
export function receiveBody(body: Readable, toError: (cause: unknown) => unknown): Readable {
  const received = new PassThrough();
  body.on("error", (cause) => received.destroy(toError(cause) as Error));
  received.once("close", () => body.destroy());
  return body.pipe(received);
}
