import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { egressDecisionsView, namedEgressPolicyPage } from "../../../provider/client/wire/egress";
import { AgentHost, bashRequest } from "../fakes/agentHost";
import { armPath, groupPath, newer } from "../fakes/runningHost";

/** Where sandboxes may go in these tests; it stands for a site of the internet. */
let site: Server;
let url: string;
let host: AgentHost;
const seen: string[] = [];
const collection = `${groupPath}/sandboxes`;

beforeAll(async () => {
  site = createServer((request, response) => {
    seen.push(`${request.method} ${request.headers.host} ${request.url}`);
    response.end("the site");
  }).listen(0, "127.0.0.1");
  await once(site, "listening");
  url = `http://site.test:${(site.address() as AddressInfo).port}`;
});
afterAll(() => new Promise((resolve) => site.close(resolve)));

beforeEach(async () => {
  seen.length = 0;
  const resolveName = async (name: string) => (name.endsWith("rebind.test") ? ["127.0.0.2"] : ["127.0.0.1"]);
  host = await new AgentHost().start({ egressAllowPrivate: ["127.0.0.1"], resolveName });
  await host.withGroup();
});
afterEach(() => host.close());

const allowSite = { defaultAction: "Deny", hostRules: [{ pattern: "site.test", action: "Allow" }] };

/** What a program gets that goes through the proxy it was told of. */
async function fetchFrom(id: string, address: string): Promise<string> {
  const { host: authority } = new URL(address);
  const line = `GET ${address} HTTP/1.1\\r\\nHost: ${authority}\\r\\nConnection: close\\r\\n\\r\\n`;
  const script = `${bashRequest}; port=\${http_proxy##*:}; request "\${port:-3128}" "${line}"`;
  const { stdout, stderr } = await host.shell(id, script);
  return stdout || stderr;
}

const variables = (id: string) => host.shell(id, "env | grep -i _proxy | sort").then(({ stdout }) => stdout);

async function setPolicy(id: string, policy: object) {
  const reply = await host.call("POST", `${collection}/${id}/egresspolicy`, policy);
  expect(reply.status, reply.text).toBe(200);
  return reply.body;
}

describe("a sandbox", () => {
  it("without a policy has no way out, and is told of none", async () => {
    const id = await host.sandbox();
    expect(await variables(id)).toBe("");
    expect(await fetchFrom(id, url)).toContain("refused");
    const view = (await host.call("GET", `${collection}/${id}`)).body;
    expect(view.egressPolicy).toEqual({ defaultAction: "Deny" });
  });

  it("with one reaches what it allows by the variables it is given, and nothing else", async () => {
    const id = await host.sandbox({ egressPolicy: allowSite });
    expect(await variables(id)).toBe(
      [
        "HTTPS_PROXY=http://127.0.0.1:3128",
        "HTTP_PROXY=http://127.0.0.1:3128",
        "NO_PROXY=localhost,127.0.0.1,::1",
        "http_proxy=http://127.0.0.1:3128",
        "https_proxy=http://127.0.0.1:3128",
        "no_proxy=localhost,127.0.0.1,::1",
        "",
      ].join("\n"),
    );
    expect(await fetchFrom(id, `${url}/x?token=1`)).toContain("the site");
    expect(await fetchFrom(id, "http://other.test/")).toMatch(/^HTTP\/1.1 403[\s\S]*EgressDenied/);
    expect(seen).toEqual([`GET ${new URL(url).host} /x?token=1`]);
    const reply = await host.call("GET", `${collection}/${id}/egress-decisions`);
    expect(Object.keys(reply.body).sort()).toEqual(["http", "lastUpdated", "networkEgress"]);
    const { allowed, denied } = egressDecisionsView.parse(reply.body);
    expect(allowed).toMatchObject([
      { host: "site.test", method: "GET", path: "/x", scheme: "http", reason: "hostRules[0]" },
    ]);
    expect(denied).toMatchObject([{ host: "other.test", reason: "defaultAction" }]);
    expect(Date.parse(allowed[0]!.timestamp!)).toBeGreaterThan(0);
  });

  it("keeps its own proxy variables", async () => {
    const id = await host.sandbox({ egressPolicy: allowSite, environment: { HTTP_PROXY: "http://own:1" } });
    expect(await variables(id)).toContain("HTTP_PROXY=http://own:1\n");
  });

  it("cannot reach this machine but through the proxy", async (context) => {
    if (!host.isApart) return context.skip("this user may not make network namespaces");
    const id = await host.sandbox({ egressPolicy: { defaultAction: "Allow" } });
    const { stdout } = await host.shell(id, "cat /proc/net/dev | tail -n +3 | cut -d: -f1");
    expect(stdout.trim()).toBe("lo");
    const port = new URL(url).port;
    expect((await host.shell(id, `exec 3<>/dev/tcp/127.0.0.1/${port}`)).stderr).toContain("refused");
  });

  it("is let to no address of this host's or its neighbours', whatever the policy says", async () => {
    const id = await host.sandbox({ egressPolicy: { defaultAction: "Allow" } });
    for (const address of [
      "http://169.254.169.254/latest/",
      "http://10.0.0.1/",
      "http://a.rebind.test/",
      "http://[::1]/",
    ]) {
      expect(await fetchFrom(id, address), address).toMatch(/^HTTP\/1.1 403[\s\S]*DestinationForbidden/);
    }
    const { denied } = egressDecisionsView.parse((await host.call("GET", `${collection}/${id}/egressDecisions`)).body);
    expect(denied.map(({ reason }) => reason)).toEqual(Array(4).fill("address"));
  });

  it("obeys a new policy from the next request on", async () => {
    const id = await host.sandbox();
    const unknown = { ...allowSite, enforcementMode: "Enforced", later: { x: 1 } };
    expect(await setPolicy(id, unknown)).toEqual(unknown);
    expect((await host.call("GET", `${collection}/${id}`)).body.egressPolicy).toEqual(unknown);
    expect(await fetchFrom(id, url)).toContain("the site");
    await setPolicy(id, { defaultAction: "Deny" });
    expect(await variables(id)).toBe("");
    expect(await fetchFrom(id, url)).toContain("403 Forbidden");
    expect(await setPolicy(id, {})).toEqual({ defaultAction: "Deny" });
  });

  it("has the same way out after a stop and a resume, for programs that slept, too", async () => {
    const id = await host.sandbox({ egressPolicy: allowSite });
    await host.background(
      id,
      `while sleep 0.1; do [ -e /tmp/go ] && break; done; ${bashRequest}; request 3128 "GET ${url}/slept HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n" > /tmp/got`,
    );
    await host.call("POST", `${collection}/${id}/stop`);
    await host.call("POST", `${collection}/${id}/resume`);
    await host.shell(id, "touch /tmp/go");
    await expect.poll(() => host.shell(id, "cat /tmp/got").then(({ stdout }) => stdout)).toContain("the site");
    expect(await fetchFrom(id, url)).toContain("the site");
  });

  it("has the same way out, policy and decisions after a restart of the host", async () => {
    const id = await host.sandbox({ egressPolicy: allowSite });
    await fetchFrom(id, `${url}/before`);
    await fetchFrom(id, "http://other.test/");
    await host.restart();
    expect(await variables(id)).toContain("http_proxy=http://127.0.0.1:3128\n");
    expect(await fetchFrom(id, `${url}/after`)).toContain("the site");
    const { allowed, denied } = egressDecisionsView.parse(
      (await host.call("GET", `${collection}/${id}/egress-decisions`)).body,
    );
    expect(allowed.map(({ path }) => path)).toEqual(["/before", "/after"]);
    expect(denied).toHaveLength(1);
  });

  it("is told of another port where a program of its own holds the usual one", async () => {
    const id = await host.sandbox();
    await host.background(
      id,
      `perl -MIO::Socket::INET -e "our \\$s = IO::Socket::INET->new(LocalAddr => q(127.0.0.1), LocalPort => 3128, Listen => 1) or die; sleep 60"`,
    );
    await expect.poll(() => host.shell(id, "exec 3<>/dev/tcp/127.0.0.1/3128").then(({ exitCode }) => exitCode)).toBe(0);
    await setPolicy(id, allowSite);
    const given = /http_proxy=http:\/\/127\.0\.0\.1:(\d+)/.exec(await variables(id))?.[1];
    expect(Number(given)).toBeGreaterThan(0);
    expect(given).not.toBe("3128");
    expect(await fetchFrom(id, url)).toContain("the site");
  });

  it("remembers the last fifty decisions of each kind, and forgets them when it is deleted", async () => {
    const id = await host.sandbox({ egressPolicy: allowSite });
    const many = `for n in $(seq 60); do request 3128 "GET http://other.test/$n HTTP/1.1\\r\\nHost: x\\r\\nConnection: close\\r\\n\\r\\n"; done`;
    await host.shell(id, `${bashRequest}; ${many} >/dev/null`);
    const { denied } = egressDecisionsView.parse((await host.call("GET", `${collection}/${id}/egress-decisions`)).body);
    expect(denied.map(({ path }) => path)).toEqual(Array.from({ length: 50 }, (_, index) => `/${index + 11}`));
    await host.call("DELETE", `${collection}/${id}`);
    expect((await host.call("GET", `${collection}/${id}/egress-decisions`)).status).toBe(404);
  });
});

describe("a policy that cannot be enforced", () => {
  const hook = { name: "key", match: { host: "api.test" }, hookRef: { endpoint: "https://a.test" } };

  it.each([
    [501, { rules: [hook] }, 'rule "key"'],
    [501, { transportRules: { defaultAction: "Allow", rules: [] } }, "transportRules"],
    [400, { hostRules: [{ pattern: "a*b" }] }, "hostRules[0]"],
    [400, { defaultAction: "Maybe" }, "defaultAction"],
  ])("is refused with %i at creation and later, and changes nothing", async (status, policy, told) => {
    const sourcesRef = { diskImage: { name: "ubuntu", isPublic: true } };
    const created = await host.call("PUT", collection, { sourcesRef, egressPolicy: policy });
    expect([created.status, created.text]).toEqual([status, expect.stringContaining(told.replaceAll('"', '\\"'))]);
    expect((await host.call("GET", collection)).body).toEqual([]);
    const id = await host.sandbox({ egressPolicy: allowSite });
    expect((await host.call("POST", `${collection}/${id}/egresspolicy`, policy)).status).toBe(status);
    expect((await host.call("GET", `${collection}/${id}`)).body.egressPolicy).toEqual(allowSite);
  });
});

describe("named policies", () => {
  const policies = `${groupPath}/egressPolicies`;

  it("are created, read, listed, replaced and deleted", async () => {
    const content = { ...allowSite, name: "Site", description: "the site only", later: 1 };
    const created = await host.call("PUT", `${policies}/site`, content);
    expect(created.status).toBe(201);
    expect(created.body).toMatchObject({ ...content, id: "site", createdAt: expect.any(String) });
    expect((await host.call("PUT", `${policies}/SITE`, content)).status).toBe(200);
    expect((await host.call("GET", `${policies}/site`)).body).toMatchObject(content);
    for (const version of [undefined, newer]) {
      const list = await host.call("GET", policies, undefined, { version });
      expect(namedEgressPolicyPage.parse(list.body).value.map(({ id }) => id)).toEqual(["site"]);
    }
    expect((await host.call("DELETE", `${policies}/site`)).status).toBe(204);
    expect((await host.call("DELETE", `${policies}/site`)).status).toBe(204);
    expect((await host.call("GET", `${policies}/site`)).status).toBe(404);
  });

  it("hold for the sandboxes that name them, at once when they change", async () => {
    await host.call("PUT", `${policies}/site`, allowSite);
    const id = await host.sandbox({ egressPolicyId: "site" });
    const view = (await host.call("GET", `${collection}/${id}`)).body;
    expect(view).toMatchObject({ egressPolicyId: "site", egressPolicy: allowSite });
    expect(await fetchFrom(id, url)).toContain("the site");
    await host.call("PUT", `${policies}/site`, { defaultAction: "Deny" });
    expect(await fetchFrom(id, url)).toContain("403 Forbidden");
    await host.restart();
    await host.call("PUT", `${policies}/site`, allowSite);
    expect(await fetchFrom(id, url)).toContain("the site");
    await setPolicy(id, { defaultAction: "Deny" });
    expect((await host.call("GET", `${collection}/${id}`)).body).not.toHaveProperty("egressPolicyId");
  });

  it("that are deleted stay with the sandboxes that named them, as their own", async () => {
    await host.call("PUT", `${policies}/site`, { ...allowSite, name: "Site", description: "the site only" });
    const id = await host.sandbox({ egressPolicyId: "site" });
    expect((await host.call("DELETE", `${policies}/site`)).status).toBe(204);
    for (const restart of [false, true]) {
      if (restart) await host.restart();
      const { body } = await host.call("GET", `${collection}/${id}`);
      expect(body).not.toHaveProperty("egressPolicyId");
      expect(body.egressPolicy).toEqual(allowSite);
      expect(await fetchFrom(id, url)).toContain("the site");
    }
    // Another one of that name is none of theirs.
    await host.call("PUT", `${policies}/site`, { defaultAction: "Deny" });
    expect(await fetchFrom(id, url)).toContain("the site");
  });

  it("that do not exist, or stand beside another, are refused", async () => {
    const sourcesRef = { diskImage: { name: "ubuntu", isPublic: true } };
    const missing = await host.call("PUT", collection, { sourcesRef, egressPolicyId: "nowhere" });
    expect([missing.status, missing.body.error.code]).toEqual([400, "EgressPolicyNotFound"]);
    const both = await host.call("PUT", collection, { sourcesRef, egressPolicyId: "a", egressPolicy: allowSite });
    expect(both.status).toBe(400);
    expect((await host.call("PUT", `${policies}/a%2Fb`, allowSite)).status).toBe(400);
  });

  it("go with their group", async () => {
    await host.call("PUT", `${policies}/site`, allowSite);
    await host.call("DELETE", `${armPath}/g1`);
    await host.withGroup();
    expect((await host.call("GET", policies)).body).toEqual({ egressPolicies: [] });
  });
});
