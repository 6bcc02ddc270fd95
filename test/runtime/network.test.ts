import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connect, type Group } from "../../provider/runtime";
import { AgentHost, bashRequest, perlServer } from "../host/fakes/agentHost";

let site: Server;
let host: AgentHost;
let group: Group;
let url: string;

beforeAll(async () => {
  site = createServer((_request, response) => response.end("the site")).listen(0, "127.0.0.1");
  await once(site, "listening");
  url = `http://site.test:${(site.address() as AddressInfo).port}`;
  host = await new AgentHost().start({ egressAllowPrivate: ["127.0.0.1"], resolveName: async () => ["127.0.0.1"] });
  group = await connect({ endpoint: `unix:${host.socket}` });
});
afterAll(async () => {
  await group.close();
  await host.close();
  await new Promise((resolve) => site.close(resolve));
});

describe("ports", () => {
  it("are opened to addresses, again without harm, and closed", async () => {
    await using sandbox = await group.createSandbox({ image: "ubuntu", ports: [9090] });
    const server = await sandbox.spawn(["bash", "-c", perlServer(8080, "hello")]);
    const opened = await sandbox.openPort(8080, { activationMode: "OnDemand" });
    expect(opened).toMatch(/^http:\/\/127\.0\.0\.1:\d+$/);
    expect(await sandbox.openPort(8080)).toBe(opened);
    expect(await sandbox.openPort(9090)).not.toBe(opened);
    const answer = async () => (await request(`${opened}/x`, { reset: true })).body.text();
    await expect.poll(answer).toBe("hello GET /x HTTP/1.1");
    await sandbox.stop();
    expect(await answer()).toBe("hello GET /x HTTP/1.1");
    server.kill();
    await sandbox.closePort(8080);
    await sandbox.closePort(8080);
    await expect(answer()).rejects.toThrow("ECONNREFUSED");
  });

  it("that this host cannot open as asked are refused", async () => {
    await using sandbox = await group.createSandbox({ image: "ubuntu" });
    await expect(sandbox.openPort(0)).rejects.toMatchObject({ code: "Invalid" });
    await expect(sandbox.openPort(80, { auth: {} })).rejects.toMatchObject({ code: "Invalid", field: "auth" });
    const github = sandbox.openPort(80, { auth: { github: { enabled: true } } });
    await expect(github).rejects.toMatchObject({ code: "Unsupported", field: "auth.github" });
  });
});

describe("egress", () => {
  const get = (address: string) =>
    `${bashRequest}; request "\${http_proxy##*:}" "GET ${address} HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n"`;

  it("is none by default, and a list of hosts or a policy else", async () => {
    await using closed = await group.createSandbox({ image: "ubuntu" });
    expect((await closed.exec("env")).stdout).not.toContain("http_proxy");
    await using sandbox = await group.createSandbox({ image: "ubuntu", egress: ["site.test"] });
    const fetched = async (address: string) => (await sandbox.exec(["bash", "-c", get(address)])).stdout;
    expect(await fetched(`${url}/a`)).toContain("the site");
    expect(await fetched("http://other.test/b")).toContain("403 Forbidden");
    await sandbox.setEgress({ defaultAction: "Allow" });
    expect(await fetched(url.replace("site", "other"))).toContain("the site");
    const decisions = await sandbox.egressDecisions();
    expect(decisions.map(({ allowed, host: name, path, reason }) => [allowed, name, path, reason])).toEqual([
      [true, "site.test", "/a", "hostRules[0]"],
      [false, "other.test", "/b", "defaultAction"],
      [true, "other.test", "/", "defaultAction"],
    ]);
    expect(decisions[0]?.at).toBeInstanceOf(Date);
  });

  it("that cannot be enforced is refused", async () => {
    const managedIdentityRef = { resource: "https://a.test" };
    const headers = [{ operation: "Set", name: "Authorization", valueRef: { managedIdentityRef } }];
    const rules = [{ name: "key", match: { host: "a.test" }, action: { type: "Transform" as const, headers } }];
    await expect(group.createSandbox({ image: "ubuntu", egress: { rules } })).rejects.toMatchObject({
      code: "Unsupported",
      message: expect.stringContaining('rule "key"'),
    });
  });
});
