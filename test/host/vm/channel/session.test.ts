import { type Duplex, duplexPair } from "node:stream";
import { afterEach, beforeEach, expect, test } from "vitest";
import { connectGuestAgent } from "../../../../provider/host/vm/channel";
import { encodeFrame, FrameDecoder } from "../../../../provider/host/vm/channel/frames";
import { frameType, guestWindowBytes, headerBytes, magic } from "../../../../provider/host/vm/channel/protocol";
import type { GuestAgent } from "../../../../provider/host/vm/guestAgent";
import { type AgentProcess, chunksOf, processesWith, shell, startAgent, uniqueSeconds, until } from "./agentProcess";

const env = { PATH: "/usr/bin:/bin" };
let process_: AgentProcess;

beforeEach(async () => {
  process_ = await startAgent();
});
afterEach(async () => {
  await process_.stop();
});

test("a new host ends what ran for the old one, and keeps what finished calls left behind", async () => {
  const [running, left] = [uniqueSeconds(), uniqueSeconds()];
  const socket = await process_.open();
  const first = await connectGuestAgent(socket, { helloTimeoutMs: 10_000 });
  await shell(first, `setsid sleep ${left} >/dev/null 2>&1 &`);
  const argv = ["/bin/sh", "-c", `trap '' TERM; sleep ${running} & sleep ${running}`];
  const program = await first.exec({ argv, env });
  await until(() => processesWith(running).length >= 2);
  socket.destroy();
  await expect(program.exit).rejects.toMatchObject({ code: "GuestFailed" });

  const second = await process_.connect();
  await until(() => processesWith(running).length === 0);
  expect(processesWith(left).length).toBeGreaterThan(0);
  expect((await shell(second, "echo works")).stdout).toBe("works\n");
  for (const pid of processesWith(left)) process.kill(pid, "SIGKILL");
  second.close();
});

test("a host that was cut off in the middle of a frame does not disturb the next one", async () => {
  const socket = await process_.open();
  await connectGuestAgent(socket, { helloTimeoutMs: 10_000 });
  socket.write(encodeFrame(2, frameType.open, Buffer.alloc(60_000)).subarray(0, 777));
  const second = await process_.connect();
  expect((await shell(second, "echo works")).stdout).toBe("works\n");
  second.close();
  socket.destroy();
});

test("closing ends what ran, and later calls fail", async () => {
  const seconds = uniqueSeconds();
  const agent = await process_.connect();
  const program = await agent.exec({ argv: ["/bin/sleep", seconds], env });
  agent.close();
  await expect(program.exit).rejects.toMatchObject({ code: "GuestFailed" });
  expect(await agent.closed).toMatchObject({ code: "GuestFailed" });
  await expect(agent.ping()).rejects.toMatchObject({ code: "GuestFailed" });
  await expect(agent.stat("/")).rejects.toMatchObject({ code: "GuestFailed" });
  await expect(agent.writeFile("/x", chunksOf("x"))).rejects.toMatchObject({ code: "GuestFailed" });
  await until(() => processesWith(seconds).length === 0);
});

test("when the guest vanishes every pending call fails with GuestFailed", async () => {
  const agent = await process_.connect();
  const program = await agent.exec({ argv: ["/bin/sleep", "97"], env, stdin: true });
  const source = async function* () {
    yield Buffer.from("first");
    await new Promise(() => {});
  };
  const calls = [program.exit, agent.writeFile(`${process_.folder}/never`, source())];
  await until(() => processesWith("97").length > 0);
  process.kill(process_.pid, "SIGTERM");
  for (const call of calls) await expect(call).rejects.toMatchObject({ code: "GuestFailed" });
  expect(program.stdout.destroyed).toBe(true);
  expect(await agent.closed).toMatchObject({ code: "GuestFailed" });
});

test("an agent outside of a machine acknowledges an identity and leaves the machine alone", async () => {
  const agent = await process_.connect();
  const before = (await shell(agent, "hostname; cat /etc/machine-id /proc/sys/kernel/random/boot_id 2>/dev/null"))
    .stdout;
  await agent.refresh({ hostname: "other", machineId: "0".repeat(32), entropy: Buffer.alloc(32), clockMs: 0 });
  const after = (await shell(agent, "hostname; cat /etc/machine-id /proc/sys/kernel/random/boot_id 2>/dev/null"))
    .stdout;
  expect(after).toBe(before);
  agent.close();
});

/** An agent whose guest is played by the test: `answer` gets every frame that is no HELLO. */
async function hostile(answer: (stream: number, type: number, guest: Duplex) => void): Promise<GuestAgent> {
  const [host, guest] = duplexPair();
  const decoder = new FrameDecoder();
  guest.on("error", () => {});
  guest.on("data", (chunk: Buffer) => {
    for (const { stream, type, payload } of decoder.push(chunk)) {
      if (type !== frameType.hello) {
        answer(stream, type, guest);
        continue;
      }
      const tail = Buffer.alloc(4);
      tail.writeUInt32BE(guestWindowBytes);
      const ack = Buffer.concat([magic, payload.subarray(magic.length), tail]);
      guest.write(encodeFrame(0, frameType.helloAck, ack));
    }
  });
  return connectGuestAgent(host, { helloTimeoutMs: 10_000 });
}

test.each<[string, (stream: number) => Buffer]>([
  ["a frame for a stream that does not exist", (stream) => encodeFrame(stream + 2, frameType.end)],
  ["a frame of its own stream", () => encodeFrame(7, frameType.open)],
  ["more bytes than it has credit for", (stream) => flood(stream)],
  [
    "more credit than there are bytes",
    (stream) => encodeFrame(stream, frameType.credit, Buffer.from([0, 255, 0, 0, 0])),
  ],
  ["malformed credit", (stream) => encodeFrame(stream, frameType.credit, Buffer.from([0]))],
  ["malformed fields", (stream) => encodeFrame(stream, frameType.end, Buffer.from([1, 2, 3]))],
  ["an unknown kind of frame", (stream) => encodeFrame(stream, 200)],
  ["a frame that is too large", () => Buffer.alloc(headerBytes, 0xee)],
])("a guest that sends %s loses the connection and breaks nothing else", async (_what, breach) => {
  const agent = await hostile((stream, type, guest) => {
    if (type === frameType.open) guest.write(breach(stream));
  });
  await expect(agent.exec({ argv: ["x"] })).rejects.toMatchObject({ code: "GuestFailed" });
  await expect(agent.stat("/")).rejects.toMatchObject({ code: "GuestFailed" });
  expect(await agent.closed).toMatchObject({ code: "GuestFailed" });
});

function flood(stream: number): Buffer {
  const frames = Math.ceil(guestWindowBytes / 32_768) + 1;
  return Buffer.concat(Array.from({ length: frames }, () => encodeFrame(stream, frameType.data, Buffer.alloc(32_768))));
}

test("a directory without end is given up", async () => {
  const agent = await hostile((stream, type, guest) => {
    if (type !== frameType.open && type !== frameType.credit) return;
    const entry = fields([60, "n"], [61, "\x01"], [56, "\0"], [23, "\0"], [62, "\0"], [63, "\0"], [64, "\0"]);
    const many = fields(...Array.from({ length: 500 }, () => [66, entry] as [number, Buffer]));
    guest.write(encodeFrame(stream, frameType.data, many));
    guest.write(encodeFrame(stream, frameType.data, many));
    guest.write(encodeFrame(stream, frameType.data, many));
    guest.write(encodeFrame(stream, frameType.data, many));
  });
  await expect(agent.list("/")).rejects.toMatchObject({ code: expect.stringMatching(/TooLarge|GuestFailed/) });
  agent.close();
});

function fields(...list: [number, string | Buffer][]): Buffer {
  return Buffer.concat(
    list.map(([tag, value]) => {
      const header = Buffer.from([tag, 0, 0, 0, 0]);
      header.writeUInt32BE(value.length, 1);
      return Buffer.concat([header, Buffer.from(value)]);
    }),
  );
}

test("a guest that never answers can be left by abort", async () => {
  const agent = await hostile(() => {});
  const reason = new Error("too long");
  const signal = () => {
    const abort = new AbortController();
    queueMicrotask(() => abort.abort(reason));
    return abort.signal;
  };
  await expect(agent.ping({ signal: signal() })).rejects.toBe(reason);
  await expect(agent.stat("/", { signal: signal() })).rejects.toBe(reason);
  await expect(agent.list("/", { signal: signal() })).rejects.toBe(reason);
  await expect(agent.exec({ argv: ["x"], signal: signal() })).rejects.toBe(reason);
  const writing = agent.writeFile("/x", chunksOf("x"));
  agent.close();
  await expect(writing).rejects.toMatchObject({ code: "GuestFailed" });
});
