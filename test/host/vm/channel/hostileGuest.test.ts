import type { Duplex } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { setFlagsFromString } from "node:v8";
import { runInNewContext } from "node:vm";
import { describe, expect, test } from "vitest";
import { encodeFrame } from "../../../../provider/host/vm/channel/frames";
import {
  failureKind,
  frameType,
  guestWindowBytes,
  headerBytes,
  tag,
} from "../../../../provider/host/vm/channel/protocol";
import type { GuestAgent } from "../../../../provider/host/vm/guestAgent";
import { chunksOf } from "./agentProcess";
import { fields, hostileGuest } from "./hostileGuest";

const opened = (stream: number) => encodeFrame(stream, frameType.opened);
const data = (stream: number, bytes: Buffer) => encodeFrame(stream, frameType.data, bytes);
const eof = (stream: number) => encodeFrame(stream, frameType.eof, Buffer.of(0));

test.each<[string, (stream: number) => Buffer]>([
  ["a frame for a stream that does not exist", (stream) => encodeFrame(stream + 2, frameType.end)],
  ["a frame of its own stream", () => encodeFrame(7, frameType.open)],
  ["more bytes than it has credit for", (stream) => flood(stream)],
  [
    "more credit than there are bytes",
    (stream) => encodeFrame(stream, frameType.credit, Buffer.from([0, 255, 0, 0, 0])),
  ],
  ["malformed credit", (stream) => encodeFrame(stream, frameType.credit, Buffer.from([0]))],
  ["credit for nothing", (stream) => encodeFrame(stream, frameType.credit, Buffer.alloc(5))],
  ["malformed fields", (stream) => encodeFrame(stream, frameType.end, Buffer.from([1, 2, 3]))],
  ["an unknown kind of frame", (stream) => encodeFrame(stream, 200)],
  ["a frame that is too large", () => Buffer.alloc(headerBytes, 0xee)],
  ["data without bytes", (stream) => data(stream, Buffer.alloc(0))],
  ["the end of an output twice", (stream) => Buffer.concat([eof(stream), eof(stream)])],
  ["bytes behind the end of an output", (stream) => Buffer.concat([eof(stream), data(stream, Buffer.of(1))])],
  ["the end of a call that never began", (stream) => encodeFrame(stream, frameType.end)],
  ["frames without end that mean nothing", () => Buffer.concat(Array(20_001).fill(encodeFrame(0, frameType.pong)))],
])("a guest that sends %s loses the connection and breaks nothing else", async (_what, breach) => {
  const { agent } = await hostileGuest((stream, type, guest) => {
    if (type === frameType.open) guest.write(breach(stream));
  });
  await expect(agent.exec({ argv: ["x"] })).rejects.toMatchObject({
    code: "GuestFailed",
    message: expect.stringContaining("Reading from the guest"),
  });
  await expect(agent.stat("/")).rejects.toMatchObject({ code: "GuestFailed" });
  expect(await agent.closed).toMatchObject({ code: "GuestFailed" });
});

test("a call that begins twice ends the connection", async () => {
  const { agent } = await hostileGuest((stream, type, guest) => {
    if (type === frameType.open) guest.write(Buffer.concat([opened(stream), opened(stream)]));
  });
  const started = await agent.exec({ argv: ["x"] });
  await expect(started.exit).rejects.toMatchObject({ code: "GuestFailed" });
});

test.each<[string, (agent: GuestAgent) => Promise<unknown>]>([
  ["exec", (agent) => agent.exec({ argv: ["x"] })],
  ["readFile", (agent) => agent.readFile("/x")],
  ["writeFile", (agent) => agent.writeFile("/x", chunksOf("x"))],
  ["archive", (agent) => agent.archive("/x")],
  ["connectPort", (agent) => agent.connectPort(80)],
  ["listen", (agent) => agent.listen(80, () => {})],
  ["mount", (agent) => agent.mount({ name: "v", path: "/v" })],
])("%s does not wait for a beginning that was left out", async (_name, call) => {
  const { agent } = await hostileGuest((stream, type, guest) => {
    if (type === frameType.open) guest.write(encodeFrame(stream, frameType.end));
  });
  await expect(call(agent)).rejects.toMatchObject({ code: "GuestFailed" });
});

function flood(stream: number): Buffer {
  const frames = Math.ceil(guestWindowBytes / 32_768) + 1;
  return Buffer.concat(Array.from({ length: frames }, () => data(stream, Buffer.alloc(32_768))));
}

test("output in single bytes takes no more memory than its window, whatever comes beside it", async () => {
  const streams: number[] = [];
  const { agent, guest } = await hostileGuest((stream, type, sender) => {
    if (type !== frameType.open) return;
    streams.push(stream);
    sender.write(opened(stream));
  });
  const unread = await agent.exec({ argv: ["unread"] });
  const read = await agent.exec({ argv: ["read"] });
  let seen = 0;
  read.stdout.on("data", (bytes: Buffer) => {
    seen += bytes.length;
  });
  const before = heldBytes();
  const rounds = 4000;
  for (let round = 0; round < rounds; round++) {
    // Each single byte in a chunk of its own that is large.
    const chunk = [data(streams[0]!, Buffer.of(1)), data(streams[1]!, Buffer.alloc(60_000))];
    if (!guest.write(Buffer.concat(chunk))) await turn();
  }
  const many = Buffer.concat(Array.from({ length: 20_000 }, () => data(streams[0]!, Buffer.of(1))));
  for (let round = 0; round < 12; round++) guest.write(many);
  while (seen < rounds * 60_000 || guest.writableLength > 0) await turn();
  // Looked at again: what is on its way out for a moment is not held.
  await expect.poll(() => heldBytes() - before).toBeLessThan(4 * 2 ** 20);
  unread.exit.catch(() => {});
  agent.close();
});

/** What is alive. */
function heldBytes(): number {
  setFlagsFromString("--expose-gc");
  runInNewContext("gc")();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

test("a guest that takes no answers is not read any further", async () => {
  let listener = 0;
  const { agent, host, guest } = await hostileGuest((stream, type, sender) => {
    if (type !== frameType.open) return;
    listener = stream;
    sender.write(encodeFrame(stream, frameType.opened, fields([tag.port, Buffer.of(80)])));
  });
  (await agent.listen(80, () => {})).close();
  guest.pause();
  // Connections to a listener that was closed are refused, with an answer each.
  const arrival = Buffer.concat([
    encodeFrame(1, frameType.open, fields([tag.listener, Buffer.of(listener + 2)])),
    encodeFrame(1, frameType.end),
  ]);
  const many = Buffer.concat(Array(20_000).fill(arrival));
  for (let round = 0; round < 20; round++) guest.write(many);
  for (let round = 0; round < 200; round++) await turn();
  expect(host.isPaused()).toBe(true);
  expect(host.writableLength).toBeLessThan(2 * 2 ** 20);
  expect(guest.writableLength).toBeGreaterThan(0);
  // One that takes them again is heard again.
  guest.resume();
  while (guest.writableLength > 0) await turn();
  agent.close();
});

test("calls that a guest does not end are counted, and beyond a limit refused", async () => {
  const { agent } = await hostileGuest(() => {});
  const enough = new Error("enough");
  for (let call = 0; call < 2048; call++) {
    await expect(agent.stat("/", { signal: soon(enough) })).rejects.toBe(enough);
  }
  await expect(agent.stat("/")).rejects.toMatchObject({ code: "CapacityExceeded" });
  await expect(agent.exec({ argv: ["x"] })).rejects.toMatchObject({ code: "CapacityExceeded" });
  agent.close();
});

test("pings that a guest does not answer are counted, too", async () => {
  const { agent } = await hostileGuest(() => {});
  const enough = new Error("enough");
  for (let ping = 0; ping < 1024; ping++) await expect(agent.ping({ signal: soon(enough) })).rejects.toBe(enough);
  await expect(agent.ping()).rejects.toMatchObject({ code: "GuestFailed" });
  agent.close();
});

test("answers to pings that were given up are not taken for later ones'", async () => {
  const pings: (() => void)[] = [];
  const { agent } = await hostileGuest((_stream, type, guest) => {
    if (type === frameType.ping) pings.push(() => guest.write(encodeFrame(0, frameType.pong)));
  });
  await expect(agent.ping({ signal: soon(new Error("enough")) })).rejects.toThrow("enough");
  let answered = false;
  const second = agent.ping().then(() => {
    answered = true;
  });
  while (pings.length < 2) await turn();
  pings[0]?.();
  for (let round = 0; round < 20; round++) await turn();
  expect(answered).toBe(false);
  pings[1]?.();
  await second;
  agent.close();
});

const facts: [number, string | Buffer][] = [
  [tag.fileType, "\x01"],
  [tag.size, "\0"],
  [tag.mode, "\0"],
  [tag.modifiedMs, "\0"],
  [tag.uid, "\0"],
  [tag.gid, "\0"],
];

/** A guest that answers a listing with these entries, for as long as it has credit. */
async function listing(entry: Buffer, perFrame: number) {
  let credit = guestWindowBytes;
  return hostileGuest((stream, type, guest, payload) => {
    if (type !== frameType.open && type !== frameType.credit) return;
    if (type === frameType.credit) credit += payload.readUInt32BE(1);
    const frame = data(stream, fields(...Array.from({ length: perFrame }, () => [66, entry] as [number, Buffer])));
    for (; credit >= frame.length; credit -= frame.length) guest.write(frame);
  });
}

test.each([
  ["entries", fields([tag.name, "n"], ...facts), 1000],
  ["links to far away", fields([tag.name, "n"], ...facts, [tag.target, "t".repeat(60_000)]), 1],
])("a directory without end is given up: %s", async (_what, entry, perFrame) => {
  const { agent } = await listing(entry, perFrame);
  await expect(agent.list("/")).rejects.toMatchObject({ code: "TooLarge" });
  agent.close();
});

test.each([
  ["empty", ""],
  ["the directory itself", "."],
  ["the one above", ".."],
  ["a path", "a/b"],
  ["with a zero byte", "a\0b"],
  ["too long", "n".repeat(256)],
])("a name that no file can have is not passed on: %s", async (_what, name) => {
  const { agent } = await listing(fields([tag.name, name], ...facts), 1);
  await expect(agent.list("/")).rejects.toMatchObject({ code: "GuestFailed" });
});

test("what the guest's system refuses is told by what it said", async () => {
  const failing = (kind: number, errno: number) =>
    hostileGuest((stream, type, guest) => {
      const reason = fields([tag.failure, Buffer.of(kind)], [tag.errno, Buffer.of(errno)]);
      if (type === frameType.open) guest.write(encodeFrame(stream, frameType.end, reason));
    });
  const said = async (kind: number, errno: number) => {
    const { agent } = await failing(kind, errno);
    return agent.exec({ argv: ["x"] }).then(
      () => "it started",
      (error) => `${error.code}: ${error.message}`,
    );
  };
  expect(await said(failureKind.programForbidden, 13)).toMatch(/ExecFailed: .*permission to execute .* denied/);
  expect(await said(failureKind.programForbidden, 1)).toMatch(/ExecFailed: .*does not permit to execute/);
  expect(await said(failureKind.system, 13)).toMatch(/Forbidden: .*permission was denied/);
  expect(await said(failureKind.system, 1)).toMatch(/Forbidden: .*not permitted/);
  expect(await said(failureKind.system, 250)).toMatch(/GuestFailed: .*error 250/);
  expect(await said(99, 0)).toMatch(/refused the request/);
});

test("a guest that never answers can be left by abort", async () => {
  const { agent } = await hostileGuest(() => {});
  const reason = new Error("too long");
  await expect(agent.ping({ signal: soon(reason) })).rejects.toBe(reason);
  await expect(agent.stat("/", { signal: soon(reason) })).rejects.toBe(reason);
  await expect(agent.list("/", { signal: soon(reason) })).rejects.toBe(reason);
  await expect(agent.exec({ argv: ["x"], signal: soon(reason) })).rejects.toBe(reason);
  await expect(agent.readFile("/x", { signal: soon(reason) })).rejects.toBe(reason);
  await expect(agent.writeFile("/x", chunksOf("x"), { signal: soon(reason) })).rejects.toBe(reason);
  const writing = agent.writeFile("/x", chunksOf("x"));
  agent.close();
  await expect(writing).rejects.toMatchObject({ code: "GuestFailed" });
});

test.each<[string, () => AsyncGenerator<Uint8Array>]>([
  [
    "takes nothing",
    async function* () {
      for (;;) yield Buffer.alloc(64 * 1024);
    },
  ],
  ["never says that it has it", () => chunksOf("x")],
])("a guest that begins to write a file and %s can be left, too", async (_what, source) => {
  const leave = new AbortController();
  const reason = new Error("too long");
  const { agent } = await hostileGuest((stream, type, guest: Duplex) => {
    if (type === frameType.open) guest.write(opened(stream));
    // The last that comes before the guest is waited for.
    if (type === frameType.data) setImmediate(() => leave.abort(reason));
  });
  await expect(agent.writeFile("/x", source(), { signal: leave.signal })).rejects.toBe(reason);
  agent.close();
});

function soon(reason: Error): AbortSignal {
  const abort = new AbortController();
  queueMicrotask(() => abort.abort(reason));
  return abort.signal;
}

describe("answers about programs in the background that make no sense end the call", () => {
  const number = (value: number) => {
    const bytes = Buffer.alloc(8);
    bytes.writeBigUInt64BE(BigInt(value));
    return bytes;
  };
  const state = (start: number, end: number, name = "p") =>
    fields([tag.name, name], [tag.startedMs, number(1)], [tag.offset, number(start)], [tag.size, number(end)]);
  const piece = (text: string) => fields([tag.output, text]);
  const place = (from: number) => fields([tag.length, number(from)]);
  const wait = { wait: true };
  const rows: [string, Buffer[], (agent: GuestAgent) => Promise<unknown>][] = [
    ["nothing", [], (agent) => agent.background.read("p", 0)],
    ["no place", [state(0, 1), piece("x")], (agent) => agent.background.read("p", 0)],
    ["output before what was asked for", [state(0, 9), place(3), piece("x")], (agent) => agent.background.read("p", 5)],
    ["output beyond its end", [state(0, 3), place(0), piece("four")], (agent) => agent.background.read("p", 0)],
    ["output that it keeps to itself", [state(0, 3), place(0)], (agent) => agent.background.read("p", 0)],
    ["news that are none", [state(0, 3), place(3)], (agent) => agent.background.read("p", 3, wait)],
    ["output that ends before it begins", [state(5, 3), place(5)], (agent) => agent.background.read("p", 5)],
    ["a name that is none", [state(0, 0, "../x")], (agent) => agent.background.start("p", { argv: ["x"] })],
    ["too many", Array(65).fill(fields([tag.entry, state(0, 0)])), (agent) => agent.background.list()],
  ];
  test.each(rows)("%s", async (_what, answer, call) => {
    const { agent } = await hostileGuest((stream, type, guest) => {
      if (type === frameType.open) guest.write(encodeFrame(stream, frameType.end, Buffer.concat(answer)));
    });
    await expect(call(agent)).rejects.toMatchObject({ code: "GuestFailed" });
    agent.close();
  });
});
