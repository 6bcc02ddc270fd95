import { once } from "node:events";
import type { AddressInfo } from "node:net";
import { createServer, type Server } from "node:net";
import { afterAll, beforeAll, expect, test } from "vitest";
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

async function listen(server: Server, host: string): Promise<number> {
  server.listen(0, host);
  await once(server, "listening");
  return (server.address() as AddressInfo).port;
}

test("bytes go both ways, and each side ends on its own", async () => {
  const server = createServer({ allowHalfOpen: true }, async (socket) => {
    const received = await bytes(socket);
    socket.end(`got ${received.length}`);
  });
  const connection = await agent.connectPort(await listen(server, "127.0.0.1"));
  connection.end(Buffer.alloc(1_000_000));
  expect(await text(connection)).toBe("got 1000000");
  server.close();
});

test("much data comes back whole through a slow reader", async () => {
  const server = createServer((socket) => socket.end(Buffer.alloc(5_000_000, 7)));
  const connection = await agent.connectPort(await listen(server, "127.0.0.1"));
  let length = 0;
  for await (const chunk of connection) {
    length += chunk.length;
    await new Promise((resolve) => setImmediate(resolve));
  }
  expect(length).toBe(5_000_000);
  connection.end();
  server.close();
});

test("a server that has only the IPv6 loopback is reached", async (context) => {
  const server = createServer((socket) => socket.end("six"));
  let port: number;
  try {
    port = await listen(server, "::1");
  } catch {
    return context.skip("this machine has no IPv6");
  }
  const connection = await agent.connectPort(port);
  expect(await text(connection)).toBe("six");
  connection.end();
  server.close();
});

test("a port that nobody listens on is told", async () => {
  const server = createServer();
  const port = await listen(server, "127.0.0.1");
  server.close();
  await once(server, "close");
  await expect(agent.connectPort(port)).rejects.toMatchObject({ code: "Conflict" });
  await expect(agent.connectPort(0)).rejects.toMatchObject({ code: "Invalid" });
});

test("a destroyed connection is closed in the guest", async () => {
  const server = createServer();
  const port = await listen(server, "127.0.0.1");
  const accepted = once(server, "connection");
  const connection = await agent.connectPort(port);
  const [socket] = await accepted;
  socket.on("error", () => {});
  socket.resume();
  const closed = once(socket, "close");
  connection.destroy();
  await closed;
  server.close();
});
