import { execFile, execFileSync } from "node:child_process";
import { randomBytes, X509Certificate } from "node:crypto";
import { once } from "node:events";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import type { IncomingMessage } from "node:http";
import { createServer as createTlsServer, request, type Server } from "node:https";
import { type AddressInfo, connect, createServer, type Server as NetServer, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { connect as connectTls, type TLSSocket } from "node:tls";
import { promisify } from "node:util";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { WebSocket, WebSocketServer } from "ws";
import type { EgressPolicy } from "../../../provider/client/wire/egress";
import { createAddressJudge } from "../../../provider/host/egress/addresses";
import { Authority } from "../../../provider/host/egress/authority";
import { checkPolicy } from "../../../provider/host/egress/checkPolicy";
import { createDial } from "../../../provider/host/egress/dial";
import { compilePolicy } from "../../../provider/host/egress/policy";
import { createEgressProxy, type EgressProxy } from "../../../provider/host/egress/proxy";
import type { ProxiedGuest } from "../../../provider/host/egress/proxyParts";
import type { EgressDecision } from "../../../provider/host/store/egressDecisionStore";

const run = promisify(execFile);
const secretValue = "s3cret-of-the-host";
const authority = new Authority(randomBytes(32));

let folder: string;
let site: Server;
let impostor: Server;
let front: NetServer;
let proxy: EgressProxy;
let policy: EgressPolicy;
let decisions: (Omit<EgressDecision, "timestamp"> & { outcome: string })[];
let guest: ProxiedGuest;
const seen: IncomingMessage[] = [];
const failures: unknown[] = [];

const port = (server: NetServer) => (server.address() as AddressInfo).port;
const certificateFor = (name: string, subject: string) => {
  const [key, cert] = [join(folder, `${name}.key`), join(folder, `${name}.pem`)];
  const more = ["-subj", "/CN=site", "-addext", `subjectAltName=${subject}`, "-keyout", key, "-out", cert];
  execFileSync(
    "openssl",
    ["req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", ...more],
    {
      stdio: "ignore",
    },
  );
  return { key: readFileSync(key, "utf8"), cert: readFileSync(cert, "utf8") };
};

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "inspected-"));
  writeFileSync(join(folder, "authority.pem"), authority.certificate);
  const own = certificateFor("site", "DNS:site.test,DNS:plain.test,IP:127.0.0.1");
  site = createTlsServer(own, async (incoming, response) => {
    seen.push(incoming);
    response.end(JSON.stringify({ url: incoming.url, headers: incoming.headers, body: await text(incoming) }));
  }).listen(0, "127.0.0.1");
  const sockets = new WebSocketServer({ server: site });
  sockets.on("connection", (socket, incoming) => socket.send(`hello ${incoming.headers["x-token"]}`));
  impostor = createTlsServer(certificateFor("impostor", "DNS:site.test"), (_incoming, response) => {
    response.end("stolen");
  }).listen(0, "127.0.0.1");
  proxy = createEgressProxy({
    dial: createDial(
      createAddressJudge(["127.0.0.1"], () => []),
      async () => ["127.0.0.1"],
    ),
    ...{ authority: () => authority, siteAuthorities: own.cert, failed: (error) => failures.push(error) },
  });
  front = createServer((socket) => {
    socket.on("error", () => {});
    proxy.serve(socket, guest);
  }).listen(0, "127.0.0.1");
  await Promise.all([once(site, "listening"), once(impostor, "listening"), once(front, "listening")]);
});

beforeEach(() => {
  decisions = [];
  seen.length = 0;
  guest = {
    policy: () => compilePolicy(checkPolicy(policy, { hasSecret: () => true })),
    record: (outcome, decision) => void decisions.push({ outcome, ...decision }),
    secret: () => secretValue,
  };
});

afterAll(() => {
  proxy.close();
  for (const server of [site, impostor]) {
    server.closeAllConnections();
    server.close();
  }
  front.close();
  rmSync(folder, { recursive: true, force: true });
  expect(failures).toEqual([]);
});

/** TLS through the proxy, as a program does that trusts the authority and nothing else. */
async function tunnel(
  host: string,
  to: number,
  options: { ca?: string; servername?: string } = {},
): Promise<TLSSocket> {
  const socket: Socket = connect(port(front), "127.0.0.1");
  socket.write(`CONNECT ${host}:${to} HTTP/1.1\r\nHost: ${host}:${to}\r\n\r\n`);
  const [head] = await once(socket, "data");
  if (!/^HTTP\/1.1 200/.test(String(head))) throw new Error(String(head).split("\r\n")[0]);
  const servername = /^[\d.]+$/.test(host) ? undefined : host;
  const secure = connectTls({ socket, host, servername, ca: authority.certificate, ...options });
  secure.on("error", () => secure.destroy());
  await Promise.race([
    once(secure, "secureConnect"),
    once(secure, "close").then(() => {
      throw new Error("closed");
    }),
  ]);
  return secure;
}

/** A reset is an end as well: `once` would fail by it. */
function closed(socket: Socket): Promise<unknown> {
  return new Promise((resolve) => socket.once("close", resolve));
}

interface Asked {
  method?: string;
  headers?: Record<string, string>;
  body?: string;
  to?: number;
}

async function ask(host: string, path: string, { method = "GET", headers, body, to = port(site) }: Asked = {}) {
  const socket = await tunnel(host, to);
  try {
    const outgoing = request({ createConnection: () => socket, host, port: to, path, method, headers });
    outgoing.end(body);
    const [response] = (await once(outgoing, "response")) as [IncomingMessage];
    const answer = await text(response);
    return { status: response.statusCode, text: answer, socket };
  } finally {
    socket.destroy();
  }
}

const injects = (more: object = {}): EgressPolicy => ({
  defaultAction: "Deny",
  rules: [
    {
      name: "token",
      match: { host: "site.test", path: "/api", methods: ["GET", "POST"], ...more },
      action: {
        type: "Transform",
        headers: [
          { operation: "Set", name: "X-Token", valueRef: { secretRef: { secretId: "t", format: "Bearer {value}" } } },
          { operation: "Remove", name: "Cookie" },
        ],
      },
    },
  ],
});

describe("https whose requests a policy looks at", () => {
  it("is changed on its way: a secret that the guest never sees reaches the site", async () => {
    policy = injects();
    const reply = await ask("site.test", "/api/v1?q=1", {
      ...{ method: "POST", body: "data", headers: { Cookie: "c", "X-Token": "guess", Host: "other.test" } },
    });
    const echoed = JSON.parse(reply.text);
    expect(echoed).toMatchObject({ url: "/api/v1?q=1", body: "data" });
    expect(echoed.headers).toMatchObject({ "x-token": `Bearer ${secretValue}`, host: `site.test:${port(site)}` });
    expect(echoed.headers.cookie).toBeUndefined();
    expect(decisions).toEqual([
      {
        ...{ outcome: "allowed", host: "site.test", port: port(site), method: "POST", path: "/api/v1" },
        ...{ scheme: "https", reason: "token" },
      },
    ]);
    expect(JSON.stringify(decisions)).not.toContain(secretValue);
  });

  it("is judged request by request, by path and method", async () => {
    policy = injects();
    for (const [path, method] of [
      ["/other", "GET"],
      ["/api/../other", "GET"],
      ["/api/%2e%2e/other", "GET"],
      ["/api", "DELETE"],
    ] as const) {
      const { status, text: answer } = await ask("site.test", path, { method });
      expect([path, method, status, answer.includes("defaultAction")]).toEqual([path, method, 403, true]);
    }
    expect(seen).toEqual([]);
    expect(decisions.map(({ outcome, scheme, method }) => [outcome, scheme, method])).toEqual([
      ...["GET", "GET", "GET", "DELETE"].map((method) => ["denied", "https", method]),
    ]);
  });

  it("serves many requests of one connection, each with its own judgement", async () => {
    policy = injects();
    const socket = await tunnel("site.test", port(site));
    const heads: string[] = [];
    for (const path of ["/api/1", "/no", "/api/2"]) {
      socket.write(`GET ${path} HTTP/1.1\r\nHost: site.test\r\n\r\n`);
      // Head and body may come apart.
      let answer = "";
      while (!answer.endsWith("}")) answer += String((await once(socket, "data"))[0]);
      heads.push(answer.slice(9, 12));
    }
    socket.destroy();
    expect(heads).toEqual(["200", "403", "200"]);
    expect(seen.map(({ url }) => url)).toEqual(["/api/1", "/api/2"]);
  });

  it("has no more under way on one connection than one request", async () => {
    policy = injects();
    const socket = await tunnel("site.test", port(site));
    socket.write("GET /api HTTP/1.1\r\nHost: site.test\r\n\r\n".repeat(50));
    await closed(socket);
    expect(seen.length).toBeLessThanOrEqual(1);
  });

  it("goes to the host that was judged, whatever a request within says", async () => {
    policy = injects();
    const socket = await tunnel("site.test", port(site));
    socket.write("GET https://other.test/api HTTP/1.1\r\nHost: other.test\r\n\r\n");
    const [answer] = await once(socket, "data");
    socket.destroy();
    expect([String(answer).slice(9, 12), seen]).toEqual(["400", []]);
    await expect(tunnel("site.test", port(site), { servername: "other.test" })).rejects.toThrow();
    expect(decisions.at(-1)).toMatchObject({ outcome: "denied", host: "site.test", reason: "TLS for another host" });
  });

  it("is not sent to a site that cannot prove who it is", async () => {
    policy = injects();
    const { status, text: answer } = await ask("site.test", "/api", { to: port(impostor) });
    expect([status, answer]).toEqual([502, expect.stringContaining("DEPTH_ZERO_SELF_SIGNED_CERT")]);
    expect(answer).not.toContain(secretValue);
  });

  it("cannot be asked to send back what a rule put into it", async () => {
    policy = injects({ methods: undefined, path: undefined });
    expect((await ask("site.test", "/", { method: "TRACE" })).status).toBe(403);
    expect(seen).toEqual([]);
  });

  it("may become a WebSocket, with the rule's headers", async () => {
    policy = injects();
    const socket = await tunnel("site.test", port(site));
    const client = new WebSocket("wss://site.test/api/socket", { createConnection: () => socket });
    expect(String((await once(client, "message"))[0])).toBe(`hello Bearer ${secretValue}`);
    client.terminate();
  });

  it("can be an address", async () => {
    policy = {
      defaultAction: "Deny",
      rules: [{ match: { host: "127.0.0.1", path: "/a" }, action: { type: "Allow" } }],
    };
    expect((await ask("127.0.0.1", "/a")).status).toBe(200);
    expect((await ask("127.0.0.1", "/b")).status).toBe(403);
  });

  it("is only watched in audit mode", async () => {
    policy = { ...injects(), enforcementMode: "Audit" };
    expect((await ask("site.test", "/other")).status).toBe(200);
    expect(decisions).toMatchObject([{ outcome: "denied", enforced: false, path: "/other", scheme: "https" }]);
  });

  it("ends where the guest does not trust the host, and takes nobody along", async () => {
    policy = injects();
    const ca = readFileSync(join(folder, "site.pem"), "utf8");
    await expect(tunnel("site.test", port(site), { ca })).rejects.toThrow();
    expect((await ask("site.test", "/api")).status).toBe(200);
  });
});

describe("https that no rule looks into", () => {
  it("stays a tunnel to the site's own certificate", async () => {
    policy = { ...injects(), hostRules: [{ pattern: "plain.test", action: "Allow" }] };
    const socket = await tunnel("plain.test", port(site), { ca: readFileSync(join(folder, "site.pem"), "utf8") });
    expect(socket.getPeerCertificate().subject.CN).toBe("site");
    socket.destroy();
    expect(decisions).toMatchObject([{ outcome: "allowed", method: "CONNECT", path: "" }]);
  });

  it("is one where an earlier rule lets the whole host through", () => {
    const first = { match: { host: "*.test" }, action: { type: "Allow" as const } };
    const compiled = compilePolicy({ rules: [first, ...(injects().rules ?? [])] });
    expect(compiled.inspects("site.test")).toBe(false);
    expect(compilePolicy(injects()).inspects("site.test")).toBe(true);
    expect(compilePolicy(injects()).inspects("other.test")).toBe(false);
  });

  it("is broken off when a new policy wants to look into it", async () => {
    policy = { defaultAction: "Allow" };
    const socket = await tunnel("site.test", port(site), { ca: readFileSync(join(folder, "site.pem"), "utf8") });
    policy = injects();
    const ended = closed(socket);
    proxy.recheck(guest);
    await ended;
  });

  it("cannot be looked into where the policy itself forbids that", () => {
    expect(() => checkPolicy({ ...injects(), trafficInspection: "None" }, { hasSecret: () => true })).toThrow(
      /trafficInspection None/,
    );
  });
});

describe("the authority", () => {
  const verify = async (host: string, kind: "-verify_hostname" | "-verify_ip") => {
    const context = new Authority(Buffer.alloc(32, 1));
    writeFileSync(join(folder, "ca.pem"), context.certificate);
    const shown = await certificateOf(context, host);
    writeFileSync(join(folder, "leaf.pem"), shown.toString());
    const args = ["verify", "-x509_strict", "-purpose", "sslserver", "-CAfile", join(folder, "ca.pem"), kind, host];
    return (await run("openssl", [...args, join(folder, "leaf.pem")])).stdout;
  };

  it.each([
    ["site.test", "-verify_hostname"],
    [`${"a".repeat(60)}.${"b".repeat(60)}.${"c".repeat(60)}.test`, "-verify_hostname"],
    ["192.0.2.7", "-verify_ip"],
    ["2001:db8::7", "-verify_ip"],
    ["::ffff:192.0.2.7", "-verify_ip"],
  ] as const)("vouches for %s so that the strictest verifier is content", async (host, kind) => {
    expect(await verify(host, kind)).toMatch(/: OK$/m);
  });

  it("is the same after a restart, and another one for another host", async () => {
    const [one, again, other] = [1, 1, 2].map((byte) => new Authority(Buffer.alloc(32, byte)));
    const key = (each: Authority) =>
      new X509Certificate(each.certificate).publicKey.export({ type: "spki", format: "pem" });
    expect(key(one!)).toBe(key(again!));
    expect(key(one!)).not.toBe(key(other!));
    const leaf = await certificateOf(again!, "site.test");
    expect(leaf.verify(new X509Certificate(one!.certificate).publicKey)).toBe(true);
  });

  it("makes a site's certificate once a day", () => {
    const each = new Authority(Buffer.alloc(32, 3));
    const first = each.contextFor("site.test", 0);
    expect(each.contextFor("site.test", 3600_000)).toBe(first);
    expect(each.contextFor("site.test", 25 * 3600_000)).not.toBe(first);
  });
});

/** As a client sees it. */
async function certificateOf(from: Authority, host: string): Promise<X509Certificate> {
  const server = createTlsServer({ SNICallback: (_name, done) => done(null, from.contextFor(host)) });
  server.listen(0, "127.0.0.1");
  await once(server, "listening");
  const socket = connectTls({ port: port(server), servername: "any.test", rejectUnauthorized: false });
  await once(socket, "secureConnect");
  const certificate = socket.getPeerX509Certificate() as X509Certificate;
  socket.destroy();
  server.close();
  return certificate;
}
