import { once } from "node:events";
import { createServer as createHttpServer, type IncomingMessage, request, type Server } from "node:http";
import { type AddressInfo, connect, createServer, type Server as NetServer } from "node:net";
import { buffer, text } from "node:stream/consumers";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import { SandboxesError } from "../../../provider/client/errors";
import { openPortServer, type PortServer } from "../../../provider/host/ports/portServer";
import type { PortRecord } from "../../../provider/host/store/sandboxStore";

const token = "a-token-of-the-host-0123456789";

/** Stands for the program in the guest. */
let program: Server;
const seen: IncomingMessage[] = [];
/** A guest that speaks no HTTP that anybody should trust. */
let hostile: NetServer;
let hostileAnswer: Buffer | string = "";

let declared: PortRecord | undefined;
let server: PortServer;
let target: NetServer;
let asked: boolean[];
let refusal: Error | undefined;
const failures: unknown[] = [];

const portOf = (each: NetServer) => (each.address() as AddressInfo).port;
const anonymous: PortRecord = { port: 80, auth: { anonymous: true }, activationMode: "Manual", protocol: "Http" };

beforeAll(async () => {
  program = createHttpServer(async (incoming, response) => {
    seen.push(incoming);
    const body = await buffer(incoming);
    response.setHeader("Connection", "keep-alive, X-Private").setHeader("X-Private", "1").setHeader("X-Own", "1");
    response.setHeader("Access-Control-Allow-Origin", "*");
    if (incoming.url === "/stream") {
      response.write("first ");
      return void once(response, "close").then(() => seen.splice(0));
    }
    if (incoming.url === "/missing") response.statusCode = 404;
    response.end(body.length > 0 ? body : JSON.stringify({ url: incoming.url, headers: incoming.headers }));
  }).listen(0, "127.0.0.1");
  const sockets = new WebSocketServer({ server: program });
  sockets.on("connection", (socket) => socket.on("message", (message) => socket.send(`echo ${message}`)));
  hostile = createServer((socket) => {
    socket.on("error", () => {});
    socket.once("data", () => socket.end(hostileAnswer));
  }).listen(0, "127.0.0.1");
  await Promise.all([once(program, "listening"), once(hostile, "listening")]);
});

beforeEach(async () => {
  declared = anonymous;
  refusal = undefined;
  asked = [];
  seen.length = 0;
  target = program;
  server = await openPortServer({
    bindHost: "127.0.0.1",
    hostPort: 0,
    token,
    declared: () => declared,
    connect: async (onDemand) => {
      asked.push(onDemand);
      if (refusal) throw refusal;
      const socket = connect({ port: portOf(target), host: "127.0.0.1", allowHalfOpen: true });
      await once(socket, "connect");
      return socket;
    },
    failed: (error) => failures.push(error),
  });
});
afterEach(() => server.close());
afterAll(async () => {
  program.closeAllConnections();
  await Promise.all([program, hostile].map((each) => new Promise((resolve) => each.close(resolve))));
  expect(failures).toEqual([]);
});

interface Reply {
  status: number;
  headers: IncomingMessage["headers"];
  body: string;
}

async function call(
  path: string,
  options: { method?: string; headers?: Record<string, string>; body?: Buffer } = {},
): Promise<Reply> {
  const { method = "GET", headers, body } = options;
  const sent = request({ host: "127.0.0.1", port: server.hostPort, path, method, headers, agent: false });
  sent.end(body);
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response) };
}

const asJson = ({ body }: Reply) => JSON.parse(body);

describe("a request", () => {
  it("reaches the program with its path and query, and says who called", async () => {
    const reply = await call("/a/b?c=d", {
      headers: { "x-forwarded-for": "1.2.3.4", forwarded: "for=1.2.3.4", te: "trailers" },
    });
    const { url, headers } = asJson(reply);
    expect(url).toBe("/a/b?c=d");
    expect(headers).toMatchObject({
      host: `127.0.0.1:${server.hostPort}`,
      "x-forwarded-for": "127.0.0.1",
      "x-forwarded-proto": "http",
      "x-forwarded-host": `127.0.0.1:${server.hostPort}`,
    });
    expect(headers).not.toHaveProperty("forwarded");
    expect(headers).not.toHaveProperty("te");
    expect(reply.headers).toMatchObject({ "x-own": "1" });
    expect(reply.headers).not.toHaveProperty("x-private");
  });

  it("carries bodies both ways, and the program's status", async () => {
    const body = Buffer.alloc(3_000_000, "y");
    expect((await call("/", { method: "POST", body })).body.length).toBe(body.length);
    expect((await call("/", { method: "DELETE", headers: { "transfer-encoding": "chunked" }, body })).body.length).toBe(
      body.length,
    );
    expect((await call("/missing")).status).toBe(404);
    expect((await call("/", { method: "HEAD" })).body).toBe("");
  });

  it("gets an answer's beginning before its end", async () => {
    const sent = request({ host: "127.0.0.1", port: server.hostPort, path: "/stream", agent: false }).end();
    const [response] = (await once(sent, "response")) as [IncomingMessage];
    expect(String((await once(response, "data"))[0])).toBe("first ");
    response.on("error", () => {});
    expect(seen.length).toBe(1);
    sent.destroy();
    await expect.poll(() => seen.length).toBe(0);
  });

  it("to a WebSocket becomes one", async () => {
    const socket = new WebSocket(`ws://127.0.0.1:${server.hostPort}/socket`);
    await once(socket, "open");
    socket.send("hello");
    expect(String((await once(socket, "message"))[0])).toBe("echo hello");
    socket.close();
    await once(socket, "close");
  });

  it("for another upgrade is refused", async () => {
    const reply = await call("/", { headers: { connection: "upgrade", upgrade: "h2c" } });
    expect(reply.status).toBe(501);
  });

  it("that is one of many in one go ends its connection", async () => {
    const socket = connect(server.hostPort, "127.0.0.1");
    socket.on("error", () => {});
    socket.write("GET / HTTP/1.1\r\nHost: a\r\n\r\n".repeat(100));
    await text(socket).catch(() => "");
    expect(seen.length).toBeLessThan(3);
  });
});

describe("who may in", () => {
  it("is everybody where the port is anonymous, and the host's token goes no further", async () => {
    expect((await call("/")).status).toBe(200);
    expect(asJson(await call("/", { headers: { authorization: "Bearer own" } })).headers.authorization).toBe(
      "Bearer own",
    );
    const withToken = asJson(await call("/", { headers: { authorization: `Bearer ${token}` } }));
    expect(withToken.headers).not.toHaveProperty("authorization");
  });

  it("is who has the host's token else; the program never sees it", async () => {
    declared = { ...anonymous, auth: {} };
    for (const authorization of [undefined, "Bearer wrong", `Basic ${token}`]) {
      const reply = await call("/", { headers: authorization ? { authorization } : {} });
      expect([reply.status, asJson(reply)]).toEqual([
        401,
        { error: "Unauthorized", message: "Authentication required" },
      ]);
      expect(reply.headers["www-authenticate"]).toMatch(/^Bearer/);
    }
    const reply = await call("/", { headers: { authorization: `Bearer ${token}` } });
    expect(reply.status).toBe(200);
    expect(asJson(reply).headers).not.toHaveProperty("authorization");
    const refused = new WebSocket(`ws://127.0.0.1:${server.hostPort}/socket`);
    const [error] = await once(refused, "error");
    expect(String(error)).toContain("401");
  });

  it("is decided by address in the order of priority", async () => {
    const rule = (name: string, action: "Allow" | "Deny", priority: number, cidr: string) => ({
      ...{ name, action, priority },
      sourceCidrs: [cidr],
    });
    const denied = { error: "Access denied by IP access control policy", errorCode: "IpAccessDenied" };
    const status = async (ipAccessControl: PortRecord["ipAccessControl"]) => {
      declared = { ...anonymous, auth: {}, ipAccessControl };
      const reply = await call("/", { headers: { authorization: `Bearer ${token}` } });
      if (reply.status === 403) expect(asJson(reply)).toEqual(denied);
      return reply.status;
    };
    expect(await status({ defaultAction: "Deny" })).toBe(403);
    expect(await status({ defaultAction: "Deny", rules: [rule("me", "Allow", 1, "127.0.0.0/8")] })).toBe(200);
    const both = [rule("no", "Deny", 5, "127.0.0.1/32"), rule("yes", "Allow", 9, "0.0.0.0/0")];
    expect(await status({ defaultAction: "Allow", rules: both })).toBe(403);
    expect(await status({ defaultAction: "Deny", rules: [...both, rule("first", "Allow", 0, "127.0.0.1")] })).toBe(200);
    expect(await status({ defaultAction: "Allow", rules: [rule("other", "Deny", 0, "10.0.0.0/8")] })).toBe(200);
  });

  it("is asked before the sandbox is: a refused call wakes nothing", async () => {
    declared = { ...anonymous, auth: {}, activationMode: "OnDemand" };
    await call("/");
    declared = { ...anonymous, ipAccessControl: { defaultAction: "Deny" } };
    await call("/");
    expect(asked).toEqual([]);
  });
});

describe("a sandbox", () => {
  it("is asked to wake only where the port says so", async () => {
    await call("/");
    declared = { ...anonymous, activationMode: "OnDemand" };
    await call("/");
    expect(asked).toEqual([false, true]);
  });

  it.each([
    ["that sleeps", new SandboxesError("NotRunning", "x"), 403, "Sandbox is not running"],
    ["that is gone", new SandboxesError("SandboxNotFound", "x"), 404, "Sandbox not found"],
    ["where nothing listens", new SandboxesError("Conflict", "x"), 502, "Nothing listens on that port"],
    ["that is silent", new SandboxesError("Timeout", "x"), 504, "The sandbox did not answer in time"],
    ["that is lost", new SandboxesError("GuestFailed", "x"), 502, "The sandbox did not answer"],
  ])("%s", async (_what, error, status, message) => {
    refusal = error;
    const reply = await call("/");
    expect([reply.status, asJson(reply).error]).toEqual([status, message]);
  });

  it("without the port any more is a 404", async () => {
    declared = undefined;
    expect((await call("/")).status).toBe(404);
  });

  it.each([
    ["no HTTP", "SSH-2.0\r\n", 502],
    ["nothing", "", 502],
    ["a head without an end", `HTTP/1.1 200 OK\r\nX: ${"a".repeat(100_000)}`, 502],
    [
      "two lengths",
      "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n",
      502,
    ],
    ["a status that is none", "HTTP/1.1 999999 OK\r\n\r\n", 502],
    [
      "an upgrade that nobody asked for",
      "HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\nConnection: upgrade\r\n\r\nhello",
      502,
    ],
  ])("that answers %s breaks nothing", async (_what, answer, status) => {
    target = hostile;
    hostileAnswer = answer;
    expect((await call("/")).status).toBe(status);
    target = program;
    expect((await call("/")).status).toBe(200);
  });

  it("that breaks off an answer has its caller see that", async () => {
    target = hostile;
    hostileAnswer = "HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nshort";
    await expect(call("/")).rejects.toThrow();
  });
});

describe("rules for web pages", () => {
  const cors = { allowOrigins: ["https://app.test"], allowMethods: ["GET", "PUT"], allowHeaders: ["x-a"], maxAge: 60 };
  const preflight = {
    method: "OPTIONS",
    headers: { origin: "https://app.test", "access-control-request-method": "PUT" },
  };

  it("answer the question before the request, without waking or asking for a token", async () => {
    declared = { ...anonymous, auth: {}, cors: { ...cors, allowCredentials: true } };
    const reply = await call("/", preflight);
    expect(reply.status).toBe(204);
    expect(reply.headers).toMatchObject({
      "access-control-allow-origin": "https://app.test",
      "access-control-allow-credentials": "true",
      "access-control-allow-methods": "GET, PUT",
      "access-control-allow-headers": "x-a",
      "access-control-max-age": "60",
    });
    const other = await call("/", { ...preflight, headers: { ...preflight.headers, origin: "https://evil.test" } });
    expect(other.headers).not.toHaveProperty("access-control-allow-origin");
    expect(asked).toEqual([]);
  });

  it("replace what the program says", async () => {
    declared = { ...anonymous, cors };
    const own = await call("/", { headers: { origin: "https://app.test" } });
    expect(own.headers["access-control-allow-origin"]).toBe("https://app.test");
    const other = await call("/", { headers: { origin: "https://evil.test" } });
    expect(other.headers).not.toHaveProperty("access-control-allow-origin");
  });

  it("are the program's own where the port has none", async () => {
    expect((await call("/", preflight)).status).toBe(200);
    expect((await call("/")).headers["access-control-allow-origin"]).toBe("*");
  });
});

it("a port that is taken cannot be opened", async () => {
  await expect(
    openPortServer({
      ...{ bindHost: "127.0.0.1", hostPort: server.hostPort, token, declared: () => declared, failed: () => {} },
      connect: () => Promise.reject(new Error("unused")),
    }),
  ).rejects.toMatchObject({ code: "EADDRINUSE" });
});
