import { Readable } from "node:stream";
import { expect, test } from "vitest";
import { collectOutput } from "../../../provider/host/services/outputLimit";

const collect = (chunks: Iterable<Uint8Array>, maxBytes: number) => collectOutput(Readable.from(chunks), maxBytes);

test("output up to the limit is whole, and one byte more is told", async () => {
  expect(await collect([Buffer.from("abc"), Buffer.from("de")], 5)).toEqual({ text: "abcde", truncated: false });
  expect(await collect([Buffer.from("abc"), Buffer.from("def")], 5)).toEqual({ text: "abcde", truncated: true });
  expect(await collect([Buffer.from("abc")], 0)).toEqual({ text: "", truncated: true });
  expect(await collect([], 0)).toEqual({ text: "", truncated: false });
});

test("a character that the limit cuts goes, one that the program cut is told", async () => {
  expect((await collect([Buffer.from("aü")], 2)).text).toBe("a");
  expect((await collect([Buffer.from("aü").subarray(0, 2)], 10)).text).toBe("a\ufffd");
  expect((await collect([Buffer.from([0xc3]), Buffer.from([0xbc])], 10)).text).toBe("ü");
});

test("a million single bytes take no more memory than their number", async () => {
  const count = 1_000_000;
  function* single() {
    const byte = Buffer.from("x");
    for (let i = 0; i < count; i++) yield byte;
  }
  const before = process.memoryUsage();
  const { text, truncated } = await collect(single(), count);
  const after = process.memoryUsage();
  expect([text.length, truncated]).toEqual([count, false]);
  expect(after.external + after.arrayBuffers - before.external - before.arrayBuffers).toBeLessThan(20 * count);
});
