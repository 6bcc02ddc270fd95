import { once } from "node:events";
import { connect as connectHttp2 } from "node:http2";
import { createServer } from "node:net";
import { text } from "node:stream/consumers";
import { Agent, request } from "undici";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { portsView } from "../../../provider/client/wire/ports";
import { AgentHost, authorityOf, perlServer } from "../fakes/agentHost";
import { armPath, groupPath } from "../fakes/runningHost";

const collection = `${groupPath}/sandboxes`;
const anonymous = { anonymous: true };
const open = { port: 8080, auth: anonymous };

let host: AgentHost;
beforeEach(async () => {
  host = await new AgentHost().start();
  await host.withGroup();
});
afterEach(() => host.close());

async function fetchText(url: string): Promise<{ status: number; text: string }> {
  const agent = new Agent();
  const { statusCode, body } = await request(url, { dispatcher: agent });
  const answer = { status: statusCode, text: await body.text() };
  await agent.close();
  return answer;
}

const urlOf = async (id: string, port = 8080) => {
  const { ports } = portsView.parse((await host.call("GET", `${collection}/${id}/ports`)).body);
  return ports.find((each) => each.port === port)?.url ?? "";
};

/** A sandbox in which a program answers on port 8080. */
async function serving(body: object = { ports: [open] }): Promise<string> {
  const id = await host.sandbox(body);
  await host.background(id, perlServer(8080, "hello from"));
  await expect.poll(() => host.shell(id, "exec 3<>/dev/tcp/127.0.0.1/8080").then(({ exitCode }) => exitCode)).toBe(0);
  return id;
}

describe("a port of a sandbox", () => {
  it("is reached at its url, from creation on", async () => {
    const id = await serving();
    const view = (await host.call("GET", `${collection}/${id}`)).body;
    expect(view.ports).toEqual([
      { ...open, activationMode: "Manual", protocol: "Http", url: expect.any(String), hostPort: expect.any(Number) },
    ]);
    expect(view.ports[0].url).toBe(`http://127.0.0.1:${view.ports[0].hostPort}`);
    expect(await fetchText(`${view.ports[0].url}/path?query`)).toEqual({
      status: 200,
      text: "hello from GET /path?query HTTP/1.1",
    });
  });

  it("where nothing listens is a 502", async () => {
    const id = await host.sandbox({ ports: [open] });
    expect(await fetchText(await urlOf(id))).toMatchObject({
      status: 502,
      text: expect.stringContaining("PortNotListening"),
    });
  });

  it("of a stopped sandbox is a 403 or wakes it, as declared", async () => {
    const id = await serving();
    await host.call("POST", `${collection}/${id}/stop`);
    const refused = await fetchText(await urlOf(id));
    expect([refused.status, JSON.parse(refused.text).error]).toEqual([403, "Sandbox is not running"]);
    await host.call("PATCH", `${collection}/${id}/ports`, { port: 8080, activationMode: "OnDemand" });
    const url = await urlOf(id);
    const answers = await Promise.all(Array.from({ length: 5 }, () => fetchText(url)));
    expect(answers.map(({ status }) => status)).toEqual(Array(5).fill(200));
    expect((await host.call("GET", `${collection}/${id}`)).body.state).toBe("Running");
  });

  it("keeps its address over a restart of the host, stopped or not", async () => {
    const id = await serving();
    const sleeping = await host.sandbox({ ports: [{ ...open, activationMode: "OnDemand" }] });
    await host.call("POST", `${collection}/${sleeping}/stop`);
    const [url, other] = [await urlOf(id), await urlOf(sleeping)];
    await host.restart();
    expect([await urlOf(id), await urlOf(sleeping)]).toEqual([url, other]);
    expect((await fetchText(url)).status).toBe(200);
    expect((await fetchText(other)).status).toBe(502);
    expect((await host.call("GET", `${collection}/${sleeping}`)).body.state).toBe("Running");
  });

  it("gets another address when its own is taken meanwhile", async () => {
    const id = await host.sandbox({ ports: [open] });
    const url = await urlOf(id);
    await host.disconnect();
    await host.server.stop();
    const squatter = createServer().listen(Number(new URL(url).port), "127.0.0.1");
    await once(squatter, "listening");
    await host.start();
    const now = await urlOf(id);
    expect(now).not.toBe(url);
    expect((await fetchText(now)).status).toBe(502);
    squatter.close();
  });

  it("speaks HTTP/2 once that is declared, and HTTP/1.1 again after that", async () => {
    const id = await host.sandbox({ ports: [{ ...open, protocol: "Http2" }] });
    const ports = `${collection}/${id}/ports`;
    const session = connectHttp2(await urlOf(id));
    const stream = session.request({ ":path": "/" });
    stream.end();
    expect((await once(stream, "response"))[0]).toMatchObject({ ":status": 502 });
    expect(JSON.parse(await text(stream))).toMatchObject({ errorCode: "PortNotListening" });
    const changed = await host.call("PATCH", ports, { port: 8080, protocol: "Http" });
    expect(changed.body.ports).toMatchObject([{ port: 8080, protocol: "Http" }]);
    expect((await fetchText(await urlOf(id))).text).toContain("PortNotListening");
    await expect.poll(() => session.closed).toBe(true);
  });

  it("is closed with its sandbox, and with its group", async () => {
    const [first, second] = [await host.sandbox({ ports: [open] }), await host.sandbox({ ports: [open] })];
    const urls = [await urlOf(first), await urlOf(second)];
    await host.call("DELETE", `${collection}/${first}`);
    await expect(fetchText(urls[0]!)).rejects.toThrow("ECONNREFUSED");
    expect((await fetchText(urls[1]!)).status).toBe(502);
    await host.call("DELETE", `${armPath}/g1`);
    await expect(fetchText(urls[1]!)).rejects.toThrow("ECONNREFUSED");
    await host.withGroup();
  });
});

describe("the ports of a sandbox", () => {
  it("are added, changed, removed and replaced", async () => {
    const id = await host.sandbox();
    const ports = `${collection}/${id}/ports`;
    expect((await host.call("GET", ports)).body).toEqual({ ports: [] });
    const added = await host.call("POST", `${ports}/add`, { ...open, name: "web", later: 1 });
    expect(added.body.ports).toMatchObject([{ port: 8080, name: "web", later: 1, url: expect.any(String) }]);
    const { url } = added.body.ports[0];
    const changed = await host.call("PATCH", ports, { name: "web", activationMode: "OnDemand" });
    expect(changed.body.ports).toMatchObject([{ port: 8080, activationMode: "OnDemand", url }]);
    await host.call("POST", `${ports}/add`, { ...open, port: 9090 });
    // Views go back as they came.
    const views = (await host.call("GET", ports)).body.ports;
    expect((await host.call("PUT", ports, { ports: views })).body.ports).toEqual(views);
    expect((await host.call("POST", `${ports}/remove`, { port: 8080 })).body.ports).toMatchObject([{ port: 9090 }]);
    await expect(fetchText(url)).rejects.toThrow("ECONNREFUSED");
    expect((await host.call("PUT", ports, { ports: [] })).body).toEqual({ ports: [] });
  });

  it("that are changed at the same time are all there", async () => {
    const id = await host.sandbox();
    const numbers = Array.from({ length: 8 }, (_, index) => 8000 + index);
    await Promise.all(numbers.map((port) => host.call("POST", `${collection}/${id}/ports/add`, { ...open, port })));
    for (const port of numbers) expect((await fetchText(await urlOf(id, port))).status).toBe(502);
  });

  it.each([
    [400, "InvalidRequest", "add", { port: 0, auth: anonymous }],
    [400, "InvalidRequest", "add", { port: 70_000, auth: anonymous }],
    [400, "InvalidRequest", "add", { port: 80 }],
    [400, "InvalidRequest", "add", { port: 80, auth: {} }],
    [400, "InvalidRequest", "add", { ...open, cors: { allowOrigins: ["*"], allowCredentials: true } }],
    [400, "InvalidRequest", "add", { ...open, ipAccessControl: { defaultAction: "Deny", rules: [{ name: "a" }] } }],
    [501, "NotSupported", "add", { port: 80, auth: { entraId: { enabled: true, emails: ["a@b.c"] } } }],
    [501, "NotSupported", "add", { port: 80, auth: { github: { emails: ["a@b.c"] } } }],
    [409, "PortAlreadyExists", "add", open],
    [409, "PortAlreadyExists", "add", { ...open, port: 81, name: "web" }],
    [404, "PortNotFound", "remove", { port: 81 }],
  ])("%i %s: %s %j", async (status, code, action, body) => {
    const id = await host.sandbox({ ports: [{ ...open, name: "web" }] });
    const before = (await host.call("GET", `${collection}/${id}/ports`)).body;
    const reply = await host.call("POST", `${collection}/${id}/ports/${action}`, body);
    expect([reply.status, reply.body.error.code]).toEqual([status, code]);
    expect((await host.call("GET", `${collection}/${id}/ports`)).body).toEqual(before);
  });

  it("that the host has no room for make no sandbox", async () => {
    await host.disconnect();
    await host.server.stop();
    const taken = createServer().listen(0, "127.0.0.1");
    await once(taken, "listening");
    const { port: only } = taken.address() as { port: number };
    await host.start({ portRange: { first: only, last: only } });
    const sourcesRef = { diskImage: { name: "ubuntu", isPublic: true } };
    const reply = await host.call("PUT", collection, { sourcesRef, ports: [open] });
    expect([reply.status, reply.body.error.code]).toEqual([429, "CapacityExceeded"]);
    expect((await host.call("GET", collection)).body).toEqual([]);
    taken.close();
    await once(taken, "close");
    const id = await host.sandbox({ ports: [open] });
    expect(await urlOf(id)).toBe(`http://127.0.0.1:${only}`);
  });
});

describe("a host that serves TLS", () => {
  it("serves ports under its own name and certificate, for its token where asked", async () => {
    const token = "0123456789abcdef-of-the-test";
    const secure = new AgentHost();
    await secure.start({ listen: "127.0.0.1:0", tls: "self-signed", token });
    const { endpoint } = secure;
    const ca = authorityOf(secure);
    const dispatcher = new Agent({ connect: { ca } });
    const call = async (method: "GET" | "PUT" | "POST", path: string, body?: object) => {
      const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
      const url = `${endpoint}${path}?api-version=2026-02-01-preview`;
      const reply = await request(url, { method, headers, body: body && JSON.stringify(body), dispatcher });
      return reply.body.json() as Promise<{ ports: { url: string }[]; id: string }>;
    };
    await call("PUT", `${armPath}/g1`, { location: "local" });
    const sourcesRef = { diskImage: { name: "ubuntu", isPublic: true } };
    for (const auth of [undefined, null]) {
      const refused = await call("PUT", collection, { sourcesRef, ports: [{ port: 8080, auth }] });
      expect(refused).toMatchObject({ status: 400, errors: { "ports.0.auth": [expect.any(String)] } });
    }
    const { id, ports } = await call("PUT", collection, { sourcesRef, ports: [{ port: 8080, auth: {} }] });
    await call("POST", `${collection}/${id}/executeShellCommand`, {
      command: `nohup setsid bash -c '${perlServer(8080, "safe").replaceAll("'", "'\\''")}' >/dev/null 2>&1 & until exec 3<>/dev/tcp/127.0.0.1/8080; do sleep 0.05; done 2>/dev/null`,
      shell: "/bin/bash",
    });
    expect(ports[0]?.url).toMatch(/^https:\/\/127\.0\.0\.1:\d+$/);
    const refused = await request(ports[0]!.url, { dispatcher });
    expect(refused.statusCode).toBe(401);
    await refused.body.dump();
    const reply = await request(ports[0]!.url, { headers: { authorization: `Bearer ${token}` }, dispatcher });
    expect([reply.statusCode, await reply.body.text()]).toEqual([200, "safe GET / HTTP/1.1"]);
    await dispatcher.close();
    await secure.close();
  });
});
