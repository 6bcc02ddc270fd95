import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer as createHttpServer, type IncomingMessage, request, type Server } from "node:http";
import { createServer as createTlsServer } from "node:https";
import { type AddressInfo, connect, createServer, type Server as NetServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { buffer, text } from "node:stream/consumers";
import { connect as connectTls } from "node:tls";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { type WebSocket, WebSocketServer } from "ws";
import type { EgressPolicy } from "../../../provider/client/wire/egress";
import { createAddressJudge } from "../../../provider/host/egress/addresses";
import { Authority } from "../../../provider/host/egress/authority";
import { createDial } from "../../../provider/host/egress/dial";
import { compilePolicy } from "../../../provider/host/egress/policy";
import { createEgressProxy, type EgressProxy } from "../../../provider/host/egress/proxy";
import type { ProxiedGuest } from "../../../provider/host/egress/proxyParts";
import type { EgressDecision } from "../../../provider/host/store/egressDecisionStore";

/** Names that these tests know; everything else does not exist. */
const names: Record<string, string[]> = {
  "site.test": ["127.0.0.1"],
  "other.test": ["127.0.0.1"],
  "mixed.test": ["10.0.0.1", "127.0.0.1"],
  "rebind.test": ["169.254.169.254"],
  "meta.test": ["::ffff:169.254.169.254"],
};

let folder: string;
let site: Server;
let secureSite: Server;
let front: NetServer;
let proxy: EgressProxy;
let policy: EgressPolicy;
let decisions: { outcome: string; host: string; reason: string; enforced?: boolean; path: string; method: string }[];
let guest: ProxiedGuest;
const seen: IncomingMessage[] = [];
const failures: unknown[] = [];

const port = (server: NetServer) => (server.address() as AddressInfo).port;

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "egress-"));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const subject = ["-subj", "/CN=site.test", "-addext", "subjectAltName=DNS:site.test,DNS:other.test"];
  execFileSync("openssl", ["req", "-x509", "-newkey", "rsa:2048", "-nodes", "-keyout", key, "-out", cert, ...subject], {
    stdio: "ignore",
  });
  const answer = (incoming: IncomingMessage) => {
    seen.push(incoming);
    return JSON.stringify({ url: incoming.url, headers: incoming.headers });
  };
  site = createHttpServer(async (incoming, response) => {
    const body = await buffer(incoming);
    if (incoming.url === "/echo") return void response.end(body);
    if (incoming.url === "/cut")
      return void response.writeHead(200, { "content-length": "100" }).end("short", () => response.destroy());
    if (incoming.url === "/redirect")
      return void response.writeHead(302, { location: "http://169.254.169.254/" }).end();
    response.setHeader("Connection", "keep-alive, X-Private").setHeader("X-Private", "1");
    response.end(answer(incoming));
  }).listen(0, "127.0.0.1");
  const sockets = new WebSocketServer({ server: site });
  sockets.on("connection", (socket) => socket.on("message", (message) => socket.send(`echo ${message}`)));
  secureSite = createTlsServer({ key: readFileSync(key), cert: readFileSync(cert) }, (incoming, response) => {
    response.end(answer(incoming));
  }).listen(0, "127.0.0.1");
  const judge = createAddressJudge(["127.0.0.1"], () => []);
  proxy = createEgressProxy({
    authority: () => new Authority(Buffer.alloc(32, 7)),
    dial: createDial(judge, async (name) => names[name] ?? []),
    failed: (error) => failures.push(error),
  });
  front = createServer((socket) => {
    socket.on("error", () => {});
    proxy.serve(socket, guest);
  }).listen(0, "127.0.0.1");
  await Promise.all([once(site, "listening"), once(secureSite, "listening"), once(front, "listening")]);
});

beforeEach(() => {
  decisions = [];
  seen.length = 0;
  const policyNow = () => compilePolicy(policy);
  guest = {
    policy: policyNow,
    record: (outcome, { host, reason, enforced, path, method }: Omit<EgressDecision, "timestamp">) =>
      void decisions.push({ outcome, host, reason, path, method, ...(enforced === undefined ? {} : { enforced }) }),
    secret: (id, key) => `${id}/${key}`,
  };
  policy = { hostRules: [{ pattern: "*.test", action: "Allow" }] };
});

afterAll(async () => {
  proxy.close();
  for (const server of [site, secureSite]) server.closeAllConnections();
  await Promise.all([site, secureSite, front].map((server) => new Promise((resolve) => server.close(resolve))));
  rmSync(folder, { recursive: true });
  expect(failures).toEqual([]);
});

async function get(
  url: string,
  options: { method?: string; headers?: Record<string, string>; body?: string | Buffer } = {},
): Promise<{ status: number; headers: IncomingMessage["headers"]; body: string }> {
  const host = new URL(url).host;
  const { method = "GET", headers = {}, body } = options;
  const sent = request({
    host: "127.0.0.1",
    port: port(front),
    method,
    path: url,
    headers: { host, ...headers },
    agent: false,
  });
  sent.end(body);
  const [response] = (await once(sent, "response")) as [IncomingMessage];
  return { status: response.statusCode ?? 0, headers: response.headers, body: await text(response) };
}

async function tunnel(authority: string): Promise<{ status: number; socket: Socket; body: string }> {
  const sent = request({ host: "127.0.0.1", port: port(front), method: "CONNECT", path: authority, agent: false });
  sent.end();
  const [response, socket, head] = (await once(sent, "connect")) as [IncomingMessage, Socket, Buffer];
  socket.on("error", () => {});
  return { status: response.statusCode ?? 0, socket, body: head.toString() };
}

/** Bytes as a program may send them, and all that comes back. */
async function raw(bytes: string | Buffer): Promise<string> {
  const socket = connect(port(front), "127.0.0.1");
  socket.on("error", () => {});
  socket.write(bytes);
  return text(socket);
}

async function closed(socket: Socket): Promise<void> {
  socket.resume();
  // A reset is an end as well: `once` would fail by it.
  if (!socket.destroyed) await new Promise((resolve) => socket.once("close", resolve));
}

describe("plain HTTP", () => {
  it("goes to where it was judged to go, with the host of its address", async () => {
    const url = `http://site.test:${port(site)}/a/../b?token=secret`;
    const reply = await get(url, { headers: { host: "evil.example", "x-own": "1", "proxy-connection": "keep-alive" } });
    expect(reply.status).toBe(200);
    const { url: path, headers } = JSON.parse(reply.body);
    expect(path).toBe("/b?token=secret");
    expect(headers).toMatchObject({ host: `site.test:${port(site)}`, "x-own": "1" });
    expect(headers).not.toHaveProperty("proxy-connection");
    expect(reply.headers).not.toHaveProperty("x-private");
    expect(decisions).toEqual([
      { outcome: "allowed", host: "site.test", reason: "hostRules[0]", path: "/b", method: "GET" },
    ]);
  });

  it("carries bodies of a known and of an unknown length, on one connection after the other", async () => {
    const url = `http://site.test:${port(site)}/echo`;
    const body = Buffer.alloc(500_000, "x");
    expect((await get(url, { method: "POST", body })).body.length).toBe(500_000);
    const chunked = { method: "PUT", headers: { "transfer-encoding": "chunked" }, body };
    expect((await get(url, chunked)).body.length).toBe(500_000);
    const head = `GET ${url} HTTP/1.1\r\nHost: site.test\r\n`;
    const both = connect(port(front), "127.0.0.1");
    both.write(`${head}\r\n`);
    await once(both, "data");
    both.write(`${head}Connection: close\r\n\r\n`);
    expect(await text(both)).toContain("200 OK");
  });

  it("that is denied is a 403 that names the rule, and never leaves", async () => {
    policy = {
      defaultAction: "Allow",
      rules: [{ name: "no site", match: { host: "site.test" }, action: { type: "Deny" } }],
    };
    const reply = await get(`http://site.test:${port(site)}/`);
    expect(reply.status).toBe(403);
    expect(JSON.parse(reply.body)).toMatchObject({
      errorCode: "EgressDenied",
      error: expect.stringContaining("no site"),
    });
    expect(seen).toEqual([]);
    expect(decisions).toMatchObject([{ outcome: "denied", reason: "no site" }]);
  });

  it("that is denied in audit mode goes through, and is told", async () => {
    policy = { defaultAction: "Deny", enforcementMode: "Audit" };
    expect((await get(`http://site.test:${port(site)}/`)).status).toBe(200);
    expect(decisions).toMatchObject([{ outcome: "denied", reason: "defaultAction", enforced: false }]);
  });

  it("is changed as a rule says, with values of secrets", async () => {
    policy = {
      rules: [
        {
          match: { host: "site.test", scheme: "http" },
          action: {
            type: "Transform",
            headers: [
              { operation: "Set", name: "X-Set", value: "new" },
              { operation: "Insert", name: "X-Old", value: "new" },
              { operation: "Insert", name: "X-New", value: "new" },
              { operation: "Remove", name: "X-Gone" },
              {
                operation: "Set",
                name: "Authorization",
                valueRef: { secretRef: { secretId: "s", secretKey: "k", format: "Bearer {value}" } },
              },
            ],
          },
        },
      ],
    };
    const headers = { "x-set": "old", "x-old": "old", "x-gone": "old", authorization: "mine" };
    const reply = await get(`http://site.test:${port(site)}/`, { headers });
    const sent = JSON.parse(reply.body).headers;
    expect(sent).toMatchObject({ "x-set": "new", "x-old": "old", "x-new": "new", authorization: "Bearer s/k" });
    expect(sent).not.toHaveProperty("x-gone");
  });

  it("is sent elsewhere as a rule says", async () => {
    const rewrite = (change: object): EgressPolicy => ({
      rules: [{ match: { host: "a.test", scheme: "http" }, action: { type: "Rewrite", ...change } }],
    });
    names["a.test"] = ["127.0.0.1"];
    policy = rewrite({ path: "/elsewhere" });
    const reply = JSON.parse((await get(`http://a.test:${port(site)}/x?y=1`)).body);
    expect(reply).toMatchObject({ url: "/elsewhere?y=1", headers: { host: `a.test:${port(site)}` } });
    policy = rewrite({ host: "rebind.test" });
    expect((await get(`http://a.test:${port(site)}/`)).status).toBe(403);
  });

  it("leaves redirects to the program, and judges where they lead", async () => {
    const reply = await get(`http://site.test:${port(site)}/redirect`);
    expect(reply).toMatchObject({ status: 302, headers: { location: "http://169.254.169.254/" } });
    policy = { defaultAction: "Allow" };
    expect((await get("http://169.254.169.254/")).status).toBe(403);
  });

  it("that is cut off on its way back does not look whole", async () => {
    await expect(get(`http://site.test:${port(site)}/cut`)).rejects.toThrow();
  });

  it.each([
    ["a path only", "GET / HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n", "400"],
    ["another scheme", "GET ftp://site.test/ HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n", "400"],
    ["https in the open", "GET https://site.test/ HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n", "400"],
    ["a user", "GET http://u:p@site.test/ HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n", "400"],
    ["no HTTP", "SSH-2.0-OpenSSH\r\n\r\n", "400"],
    [
      "two lengths",
      "POST http://site.test/ HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
      "400",
    ],
    ["a head without an end", `GET http://site.test/ HTTP/1.1\r\nX: ${"a".repeat(40_000)}`, "431"],
  ])("%s is refused", async (_what, bytes, status) => {
    expect(await raw(bytes)).toMatch(new RegExp(`^HTTP/1.1 ${status}`));
    expect(seen).toEqual([]);
  });

  it("is asked for one at a time: a flood of requests in one go ends the connection", async () => {
    const one = `GET http://site.test:${port(site)}/ HTTP/1.1\r\nHost: site.test\r\n\r\n`;
    await raw(one.repeat(200));
    expect(seen.length).toBeLessThan(3);
  });

  it("to where nobody listens is a 502", async () => {
    const free = createServer().listen(0, "127.0.0.1");
    await once(free, "listening");
    const number = port(free);
    free.close();
    expect((await get(`http://site.test:${number}/`)).status).toBe(502);
    expect((await get("http://missing.test/")).status).toBe(502);
  });
});

describe("addresses that no policy can allow", () => {
  it.each([
    ["a name that leads to metadata", "http://rebind.test/"],
    ["one that hides it in IPv6", "http://meta.test/"],
    ["an address", "http://10.0.0.1/"],
    ["this machine by another number", "http://2130706434/"],
    ["in IPv6", "http://[::1]/"],
    ["IPv4 in IPv6", "http://[::ffff:a9fe:a9fe]/"],
  ])("%s", async (_what, url) => {
    policy = { defaultAction: "Allow" };
    const reply = await get(url);
    expect([reply.status, JSON.parse(reply.body).errorCode]).toEqual([403, "DestinationForbidden"]);
    const { hostname } = new URL(url);
    const through = await tunnel(`${hostname}:443`);
    expect(through.status).toBe(403);
    expect(decisions.map(({ outcome, reason }) => [outcome, reason])).toEqual(Array(2).fill(["denied", "address"]));
  });

  it("among others of a name are passed over", async () => {
    expect((await get(`http://mixed.test:${port(site)}/`)).status).toBe(200);
  });

  it("a name that changes between judging and connecting is connected to where it was judged", async () => {
    let asked = 0;
    names["turn.test"] = [];
    Object.defineProperty(names, "turn.test", { get: () => (asked++ === 0 ? ["127.0.0.1"] : ["10.0.0.1"]) });
    expect((await get(`http://turn.test:${port(site)}/`)).status).toBe(200);
    expect(asked).toBe(1);
  });
});

describe("a tunnel", () => {
  const secure = (socket: Socket, servername: string) =>
    connectTls({
      socket,
      servername,
      ca: readFileSync(join(folder, "cert.pem")),
      checkServerIdentity: () => undefined,
    });

  it("carries TLS to the host that was asked for", async () => {
    const { status, socket } = await tunnel(`site.test:${port(secureSite)}`);
    expect(status).toBe(200);
    const inside = secure(socket, "site.test");
    inside.write("GET /x HTTP/1.1\r\nHost: site.test\r\nConnection: close\r\n\r\n");
    expect(await text(inside)).toContain('"url":"/x"');
    expect(decisions).toEqual([
      { outcome: "allowed", host: "site.test", reason: "hostRules[0]", path: "", method: "CONNECT" },
    ]);
  });

  it("to a host that is denied is a 403 at once", async () => {
    policy = { hostRules: [{ pattern: "site.test", action: "Allow" }] };
    const { status, body } = await tunnel(`other.test:${port(secureSite)}`);
    expect(status).toBe(403);
    expect(body).toContain("EgressDenied");
    expect(decisions).toMatchObject([{ outcome: "denied", host: "other.test" }]);
  });

  it("carries no TLS for another host than was asked for, nor for none", async () => {
    policy = { defaultAction: "Allow" };
    for (const servername of ["other.test", ""]) {
      const { socket } = await tunnel(`site.test:${port(secureSite)}`);
      secure(socket, servername).on("error", () => {});
      await closed(socket);
    }
    expect(decisions.map(({ outcome, reason }) => [outcome, reason])).toEqual([
      ["denied", "TLS for another host"],
      ["denied", "TLS without a server name"],
    ]);
    expect(seen).toEqual([]);
  });

  it("is no way to speak anything else", async () => {
    const { socket } = await tunnel(`site.test:${port(secureSite)}`);
    socket.write("SSH-2.0-OpenSSH_9\r\n");
    expect(await text(socket)).toMatch(/^HTTP\/1.1 400/);
  });

  it("takes plain HTTP, and judges each request of it", async () => {
    policy = {
      rules: [
        { match: { host: "site.test", scheme: "http", path: "/no" }, action: { type: "Deny" } },
        { match: { host: "site.test", scheme: "http" }, action: { type: "Allow" } },
      ],
    };
    const { status, socket } = await tunnel(`site.test:${port(site)}`);
    expect(status).toBe(200);
    socket.write("GET /yes HTTP/1.1\r\nHost: other.test\r\n\r\n");
    expect(String((await once(socket, "data"))[0])).toContain("200 OK");
    socket.write("GET /no HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n");
    expect(await text(socket)).toContain("403 Forbidden");
    expect(seen.map(({ url, headers }) => [url, headers.host])).toEqual([["/yes", `site.test:${port(site)}`]]);
    const other = await tunnel(`site.test:${port(secureSite)}`);
    secure(other.socket, "site.test").on("error", () => {});
    await closed(other.socket);
    expect(decisions.at(-1)).toMatchObject({ outcome: "denied", reason: "defaultAction", method: "CONNECT" });
  });

  it("takes a WebSocket", async () => {
    const { socket } = await tunnel(`site.test:${port(site)}`);
    const { WebSocket: Client } = await import("ws");
    const client = new Client(`ws://site.test:${port(site)}/socket`, { createConnection: () => socket }) as WebSocket;
    await once(client, "open");
    client.send("hello");
    expect(String((await once(client, "message"))[0])).toBe("echo hello");
    client.terminate();
  });

  it("ends when the policy does not allow it any more, and others stay", async () => {
    const through = async (host: string) => {
      const { socket } = await tunnel(`${host}:${port(secureSite)}`);
      const inside = secure(socket, host);
      await once(inside, "secureConnect");
      return { socket, inside };
    };
    const [first, second] = [await through("site.test"), await through("other.test")];
    first.inside.on("error", () => {});
    policy = { hostRules: [{ pattern: "other.test", action: "Allow" }] };
    proxy.recheck(guest);
    await closed(first.socket);
    second.inside.write("GET /x HTTP/1.1\r\nHost: other.test\r\nConnection: close\r\n\r\n");
    expect(await text(second.inside)).toContain("200 OK");
  });

  it.each(["site.test", "site.test:0", "site.test:99999", "http://site.test:1", "a b:1", ":1"])(
    "to %j is refused",
    async (authority) => {
      expect(await raw(`CONNECT ${authority} HTTP/1.1\r\nHost: x\r\n\r\n`)).toMatch(/^HTTP\/1.1 400/);
    },
  );

  it("within a tunnel is refused", async () => {
    const { socket } = await tunnel(`site.test:${port(site)}`);
    socket.write("CONNECT other.test:443 HTTP/1.1\r\nHost: x\r\n\r\n");
    expect(await text(socket)).toMatch(/^HTTP\/1.1 400/);
  });
});
