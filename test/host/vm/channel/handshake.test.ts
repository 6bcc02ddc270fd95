import { duplexPair } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { expect, test } from "vitest";
import { connectGuestAgent } from "../../../../provider/host/vm/channel";
import { encodeFrame, FrameDecoder } from "../../../../provider/host/vm/channel/frames";
import { shakeHands } from "../../../../provider/host/vm/channel/handshake";
import { frameType, magic, maxPayloadBytes } from "../../../../provider/host/vm/channel/protocol";

/** A guest that answers the n-th HELLO, with these bytes before its answer. */
function guest(options: { answerFrom?: number; before?: Buffer; version?: number; step?: number } = {}) {
  const [host, other] = duplexPair();
  const seen: Buffer[] = [];
  let hellos = 0;
  const decoder = new FrameDecoder();
  other.on("data", async (chunk: Buffer) => {
    seen.push(chunk);
    if (chunk[0] === 0xff) return;
    for (const { type, payload } of decoder.push(chunk)) {
      if (type !== frameType.hello) continue;
      hellos += 1;
      if (hellos !== (options.answerFrom ?? 1)) continue;
      const nonce = payload.subarray(magic.length + 2);
      const window = Buffer.from([0, 4, 0, 0]);
      const version = Buffer.from([0, options.version ?? 1]);
      const answer = encodeFrame(0, frameType.helloAck, Buffer.concat([magic, version, nonce, window]));
      const bytes = Buffer.concat([options.before ?? Buffer.alloc(0), answer, Buffer.from("rest")]);
      for (let offset = 0; offset < bytes.length; offset += options.step ?? bytes.length) {
        other.write(bytes.subarray(offset, offset + (options.step ?? bytes.length)));
        await turn();
      }
    }
  });
  return { host, other, hellos: () => hellos };
}

test("the host repeats HELLO until the guest listens", async () => {
  const { host, hellos } = guest({ answerFrom: 3 });
  await shakeHands(host, { helloTimeoutMs: 60_000 });
  // One more may have left before the answer was heard.
  expect(hellos()).toBeGreaterThanOrEqual(3);
});

test("rests of an earlier connection before the answer are skipped, and bytes behind it are kept", async () => {
  const before = Buffer.concat([encodeFrame(2, 19, Buffer.alloc(maxPayloadBytes, 7)).subarray(5), magic]);
  for (const step of [1000, before.length + 20]) {
    const { host } = guest({ before, step });
    const rest = [await shakeHands(host, { helloTimeoutMs: 60_000 })];
    host.on("data", (chunk: Buffer) => rest.push(chunk));
    host.resume();
    while (Buffer.concat(rest).length < "rest".length) await turn();
    expect(Buffer.concat(rest).toString()).toBe("rest");
  }
});

test("a guest of another version is refused by name", async () => {
  const { host } = guest({ version: 9 });
  await expect(connectGuestAgent(host, { helloTimeoutMs: 60_000 })).rejects.toMatchObject({
    code: "GuestFailed",
    message: expect.stringContaining("version 9"),
  });
  expect(host.destroyed).toBe(true);
});

test("a guest that never answers ends in GuestFailed and a closed socket", async () => {
  const { host } = guest({ answerFrom: Number.POSITIVE_INFINITY });
  await expect(connectGuestAgent(host, { helloTimeoutMs: 60 })).rejects.toMatchObject({ code: "GuestFailed" });
  expect(host.destroyed).toBe(true);
});

test("a guest that sends without end but no answer is given up", async () => {
  const [host, other] = duplexPair();
  const flood = () => {
    while (!host.destroyed && other.write(Buffer.alloc(60_000, 1)));
  };
  other
    .on("drain", flood)
    .on("error", () => {})
    .resume();
  flood();
  await expect(connectGuestAgent(host, { helloTimeoutMs: 60_000 })).rejects.toMatchObject({
    message: expect.stringContaining("no answer but other bytes"),
  });
  other.destroy();
});

test("an abort while waiting rejects with its reason", async () => {
  const { host } = guest({ answerFrom: Number.POSITIVE_INFINITY });
  const reason = new Error("enough");
  await expect(
    connectGuestAgent(host, { helloTimeoutMs: 60_000, signal: AbortSignal.any([AbortSignal.abort(reason)]) }),
  ).rejects.toBe(reason);
  const later = new AbortController();
  const connecting = connectGuestAgent(guest({ answerFrom: 99 }).host, {
    helloTimeoutMs: 60_000,
    signal: later.signal,
  });
  later.abort(reason);
  await expect(connecting).rejects.toBe(reason);
});

test("the last words of a guest that could not start are told", async () => {
  const { host, other } = guest({ answerFrom: Number.POSITIVE_INFINITY });
  const connecting = connectGuestAgent(host, { helloTimeoutMs: 60_000 });
  const reason = Buffer.from("mount /dev/vda: Invalid argument\x1b[31m");
  other.end(encodeFrame(0, frameType.fatal, Buffer.concat([magic, reason])));
  await expect(connecting).rejects.toMatchObject({
    code: "GuestFailed",
    message: expect.stringContaining("could not start: mount /dev/vda: Invalid argument?[31m"),
  });
});

test("a connection that closes while waiting is told", async () => {
  const { host, other } = guest({ answerFrom: Number.POSITIVE_INFINITY });
  const connecting = connectGuestAgent(host, { helloTimeoutMs: 60_000 });
  other.end();
  await expect(connecting).rejects.toMatchObject({ code: "GuestFailed" });
});
