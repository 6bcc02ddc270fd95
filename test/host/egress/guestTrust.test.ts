import { execFileSync } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
import { createServer, type Server } from "node:https";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, test } from "vitest";
import { egressDecisionsView } from "../../../provider/client/wire/egress";
import { AgentHost } from "../fakes/agentHost";
import { groupPath, RunningHost } from "../fakes/runningHost";

const collection = `${groupPath}/sandboxes`;
const secretValue = "s3cret-of-the-group";

let folder: string;
let site: Server;
let host: AgentHost;
let url: string;
const seen: string[] = [];

beforeAll(async () => {
  folder = mkdtempSync(join(tmpdir(), "trust-"));
  const [key, cert] = [join(folder, "key.pem"), join(folder, "cert.pem")];
  const more = ["-subj", "/CN=site", "-addext", "subjectAltName=DNS:site.test", "-keyout", key, "-out", cert];
  const curve = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes"];
  execFileSync("openssl", ["req", "-x509", ...curve, ...more], { stdio: "ignore" });
  site = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (incoming, response) => {
    seen.push(`${incoming.url} ${incoming.headers.authorization}`);
    response.end("the site");
  }).listen(0, "127.0.0.1");
  await once(site, "listening");
  url = `https://site.test:${(site.address() as AddressInfo).port}`;
});
afterAll(() => {
  site.close();
  rmSync(folder, { recursive: true });
});

const start = () =>
  host.start({
    ...{ egressAllowPrivate: ["127.0.0.1"], resolveName: async () => ["127.0.0.1"] },
    siteAuthorities: readFileSync(join(folder, "cert.pem"), "utf8"),
  });
beforeEach(async () => {
  seen.length = 0;
  host = new AgentHost();
  await start();
  await host.withGroup();
  await host.call("PUT", `${groupPath}/secrets/login`, { values: { TOKEN: secretValue } });
});
afterEach(() => host.close());

const valueRef = { secretRef: { secretId: "login", secretKey: "TOKEN", format: "Bearer {value}" } };
const injects = {
  defaultAction: "Deny",
  rules: [
    {
      ...{ name: "login", match: { host: "site.test", path: "/api" } },
      action: { type: "Transform", headers: [{ operation: "Set", name: "Authorization", valueRef }] },
    },
  ],
};

/** Sandboxes that share this machine's files would have it trust the host's authority. */
const withOwnFiles = (name: string, run: () => Promise<void>) =>
  test(name, async (context) => {
    if (!host.isApart) context.skip("this machine grants no namespaces");
    await run();
  });

describe("programs of a sandbox whose https is looked into", () => {
  const curl = "curl --silent --show-error --fail-with-body --max-time 100";
  const python = (path: string) =>
    `python3 -c 'import urllib.request as r; print(r.urlopen("${url}${path}").read().decode())'`;

  withOwnFiles("reach the site with a secret that they do not know, without a word of their own", async () => {
    const id = await host.sandbox({ egressPolicy: injects });
    expect(await host.shell(id, `${curl} ${url}/api/1`)).toMatchObject({ stdout: "the site", stderr: "", exitCode: 0 });
    expect(await host.shell(id, python("/api/2"))).toMatchObject({ stdout: "the site\n", stderr: "", exitCode: 0 });
    expect(seen).toEqual(["/api/1", "/api/2"].map((path) => `${path} Bearer ${secretValue}`));
    const refused = await host.shell(id, `${curl} ${url}/other`);
    expect([refused.exitCode, refused.stdout]).toEqual([22, expect.stringContaining("EgressDenied")]);
    const everywhere = await host.shell(id, `env; cat /etc/sandboxes/*; grep -rl ${secretValue} /etc /tmp /run; true`);
    expect(everywhere.stdout).not.toContain(secretValue);
    expect(host.log.join("\n")).not.toContain(secretValue);
    const reply = await host.call("GET", `${collection}/${id}/egress-decisions`);
    const { allowed, denied } = egressDecisionsView.parse(reply.body);
    expect(allowed).toMatchObject([
      { host: "site.test", method: "GET", path: "/api/1", scheme: "https", reason: "login" },
      { path: "/api/2" },
    ]);
    expect(denied).toMatchObject([{ path: "/other", scheme: "https", reason: "defaultAction" }]);
    expect(reply.text).not.toContain(secretValue);
  });

  withOwnFiles("trust the host by the system's own bundle, once, also after a stop and a restart", async () => {
    const id = await host.sandbox({ egressPolicy: injects });
    const bare = `env -u CURL_CA_BUNDLE -u SSL_CERT_FILE ${curl} --cacert /etc/ssl/certs/ca-certificates.crt ${url}/api`;
    expect((await host.shell(id, bare)).stdout).toBe("the site");
    expect((await host.call("POST", `${collection}/${id}/stop`, {})).status).toBe(200);
    await host.disconnect();
    await host.server.stop();
    await start();
    expect((await host.call("POST", `${collection}/${id}/resume`, {})).status).toBe(200);
    expect((await host.shell(id, bare)).stdout).toBe("the site");
    const count = await host.shell(id, "grep -c 'begin: sandboxes' /etc/ssl/certs/ca-certificates.crt");
    expect(count.stdout).toBe("1\n");
    const others = await host.shell(
      id,
      "grep -c BEGIN /etc/ssl/certs/ca-certificates.crt /etc/sandboxes/ca-bundle.pem",
    );
    const [system, own] = others.stdout
      .trim()
      .split("\n")
      .map((line) => Number(line.split(":")[1]));
    expect(own).toBe(system);
    expect(system).toBeGreaterThan(20);
  });

  withOwnFiles("are told of nothing while no rule looks into https, and at once when one does", async () => {
    const id = await host.sandbox({ egressPolicy: { defaultAction: "Allow" } });
    const told = "env | grep -c /etc/sandboxes; ls /etc/sandboxes 2>/dev/null";
    expect((await host.shell(id, told)).stdout).toBe("0\n");
    expect((await host.call("POST", `${collection}/${id}/egresspolicy`, injects)).status).toBe(200);
    expect((await host.shell(id, `${curl} ${url}/api`)).stdout).toBe("the site");
    expect((await host.shell(id, told)).stdout).toBe("8\nca-bundle.pem\negress-authority.pem\n");
  });

  withOwnFiles("keep what they say themselves of the authorities they trust", async () => {
    const id = await host.sandbox({ egressPolicy: injects, environment: { CURL_CA_BUNDLE: "/nowhere" } });
    expect((await host.shell(id, `${curl} ${url}/api`)).exitCode).toBe(77);
  });

  withOwnFiles("find a guest's odd files left alone", async () => {
    const id = await host.sandbox();
    const odd = "cd /etc/ssl/certs && rm ca-certificates.crt && truncate -s 8M ca-certificates.crt";
    await host.shell(id, odd);
    expect((await host.call("POST", `${collection}/${id}/egresspolicy`, injects)).status).toBe(200);
    expect((await host.shell(id, `${curl} ${url}/api`)).stdout).toBe("the site");
    expect((await host.shell(id, "stat -c %s /etc/ssl/certs/ca-certificates.crt")).stdout).toBe("8388608\n");
  });
});

test.each([
  ["has files of its own is given the authority", true],
  ["has this machine's files is not: they would trust it", false],
])("a sandbox that %s", async (_what, isApart) => {
  const folders = new RunningHost();
  try {
    folders.machines.isApart = isApart;
    await (await folders.start()).withGroup();
    await folders.call("PUT", `${groupPath}/secrets/login`, { values: { TOKEN: secretValue } });
    const id = await folders.sandbox({ egressPolicy: injects });
    const { folder } = folders.machines.vms.get(id)!;
    expect(existsSync(join(folder, "etc/sandboxes"))).toBe(isApart);
    const refused = folders.log.filter((line) => line.includes("could not be given the authority"));
    expect(refused.length > 0).toBe(!isApart);
  } finally {
    await folders.close();
  }
});
