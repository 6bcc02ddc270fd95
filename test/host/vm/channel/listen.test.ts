import { once } from "node:events";
import { connect, createServer, type Socket } from "node:net";
import { Duplex } from "node:stream";
import { afterAll, beforeAll, expect, test } from "vitest";
import { connectGuestAgent } from "../../../../provider/host/vm/channel";
import { FieldWriter } from "../../../../provider/host/vm/channel/fields";
import { encodeFrame } from "../../../../provider/host/vm/channel/frames";
import { frameType, magic, maxArrivals, protocolVersion, tag } from "../../../../provider/host/vm/channel/protocol";
import type { GuestAgent } from "../../../../provider/host/vm/guestAgent";
import { type AgentProcess, bytes, startAgent, text } from "./agentProcess";

let process_: AgentProcess;
let agent: GuestAgent;

beforeAll(async () => {
  process_ = await startAgent();
  agent = await process_.connect();
});
afterAll(async () => {
  agent?.close();
  await process_?.stop();
});

/** What a program in the guest does; the agent of these tests shares this machine's loopback. */
async function dial(port: number): Promise<Socket> {
  const socket = connect({ host: "127.0.0.1", port, allowHalfOpen: true });
  await once(socket, "connect");
  socket.on("error", () => {}); // resets are what some of these tests are about
  return socket;
}

test("what a program connects to in the guest arrives at the host, bytes both ways", async () => {
  const listener = await agent.listen(0, (connection) => {
    void bytes(connection).then((received) => connection.end(`got ${received.length}`));
  });
  expect(listener.port).toBeGreaterThan(0);
  const socket = await dial(listener.port);
  socket.end(Buffer.alloc(1_000_000));
  expect(await text(socket)).toBe("got 1000000");
  listener.close();
});

test("an answer reaches a slow reader whole, though it had ended before", async () => {
  const listener = await agent.listen(0, (connection) => {
    connection.resume();
    connection.once("end", () => connection.end(Buffer.alloc(3_000_000, 7)));
  });
  const socket = await dial(listener.port);
  socket.end("done");
  let length = 0;
  for await (const chunk of socket) {
    length += chunk.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(length).toBe(3_000_000);
  listener.close();
});

test("more connections than there may be wait, and get their turn", async () => {
  const waiting: Duplex[] = [];
  const listener = await agent.listen(0, (connection) => {
    connection.resume();
    waiting.push(connection);
  });
  const extra = 20;
  const sockets = await Promise.all(Array.from({ length: maxArrivals + extra }, () => dial(listener.port)));
  await expect.poll(() => waiting.length).toBe(maxArrivals);
  const first = waiting.splice(0, extra);
  for (const connection of first) connection.destroy();
  await expect.poll(() => waiting.length).toBe(maxArrivals);
  for (const end of [...waiting, ...sockets]) end.destroy();
  listener.close();
});

test("a closed listener refuses, connections that stand go on", async () => {
  const arrived: Duplex[] = [];
  const listener = await agent.listen(0, (connection) => arrived.push(connection));
  const socket = await dial(listener.port);
  await expect.poll(() => arrived.length).toBe(1);
  listener.close();
  listener.close();
  await agent.ping();
  await expect(dial(listener.port)).rejects.toMatchObject({ code: "ECONNREFUSED" });
  socket.write("still");
  const [chunk] = await once(arrived[0]!, "data");
  expect(String(chunk)).toBe("still");
  arrived[0]!.destroy();
  socket.destroy();
});

test("a port that is taken, and one that is none, are told", async () => {
  const server = createServer().listen(0, "127.0.0.1");
  await once(server, "listening");
  const { port } = server.address() as { port: number };
  await expect(agent.listen(port, () => {})).rejects.toMatchObject({ code: "Conflict" });
  await expect(agent.listen(-1, () => {})).rejects.toMatchObject({ code: "Invalid" });
  server.close();
});

test("a later host gets the same port again", async () => {
  const own = await startAgent();
  const first = await own.connect();
  const { port } = await first.listen(0, (connection) => connection.end("first"));
  const lingering = await dial(port);
  const second = await own.connect();
  const listener = await second.listen(port, (connection) => connection.end("second"));
  expect(listener.port).toBe(port);
  const socket = await dial(port);
  expect(await text(socket)).toBe("second");
  lingering.destroy();
  socket.destroy();
  second.close();
  await own.stop();
});

/** A guest that says what it likes once greeted. */
async function hostileGuest(frames: Buffer[]): Promise<GuestAgent> {
  const [host, guest] = pair();
  guest.once("data", (hello: Buffer) => {
    const nonce = hello.subarray(hello.indexOf(magic) + magic.length + 2).subarray(0, 16);
    const window = Buffer.alloc(4);
    window.writeUInt32BE(256 * 1024);
    const ack = Buffer.concat([magic, Buffer.from([0, protocolVersion]), nonce, window]);
    guest.write(Buffer.concat([encodeFrame(0, frameType.helloAck, ack), ...frames]));
    guest.resume();
  });
  return connectGuestAgent(host, { helloTimeoutMs: 60_000 });
}

function pair(): [Duplex, Duplex] {
  const sides: Duplex[] = [];
  for (const other of [1, 0]) {
    sides.push(
      new Duplex({
        read: () => {},
        write: (chunk, _encoding, done) => {
          setImmediate(() => sides[other]!.push(chunk));
          done();
        },
      }),
    );
  }
  return sides as [Duplex, Duplex];
}

function opening(id: number, listener = 2): Buffer {
  return encodeFrame(id, frameType.open, new FieldWriter().number(tag.listener, listener).toBuffer());
}

test.each([
  ["a stream with one of the host's numbers", [opening(2)]],
  ["one number twice", [opening(1), opening(1)]],
  ["a stream without a listener's number", [encodeFrame(1, frameType.open, Buffer.alloc(0))]],
  ["more streams than it may", Array.from({ length: maxArrivals + 1 }, (_, index) => opening(2 * index + 1))],
])("a guest that opens %s is cut off", async (_what, frames) => {
  const hostile = await hostileGuest(frames);
  expect(await hostile.closed).toMatchObject({ code: "GuestFailed" });
});

test("a stream for a listener that is not there is broken off, the guest stays", async () => {
  const guest = await hostileGuest([opening(1, 44), encodeFrame(0, frameType.pong)]);
  const settled = await Promise.race([guest.closed, new Promise((resolve) => setTimeout(() => resolve("open"), 50))]);
  expect(settled).toBe("open");
  guest.close();
});
