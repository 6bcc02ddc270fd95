import { once } from "node:events";
import { createServer, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { rootCertificates } from "node:tls";
import { request } from "undici";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { egressDecisionsView } from "../../provider/client/wire/egress";
import { createQemuDriver } from "../../provider/host/vm/qemu";
import { BusyboxShelf } from "./fakes/busyboxShelf";
import { groupPath, RunningHost } from "./fakes/runningHost";
import { busyboxRootfs } from "./vm/busyboxRootfs";

/** Both ways through the border of a real virtual machine. */
let site: Server;
let url: string;
let host: RunningHost;
const collection = `${groupPath}/sandboxes`;
const egressPolicy = { defaultAction: "Deny", hostRules: [{ pattern: "*.test", action: "Allow" }] };
const small = { resources: { cpu: "1000m", memory: "128Mi" } };

beforeAll(async () => {
  site = createServer((incoming, response) => response.end(`site: ${incoming.headers.host} ${incoming.url}`));
  site.listen(0, "127.0.0.1");
  await once(site, "listening");
  url = `http://site.test:${(site.address() as AddressInfo).port}`;
  host = new RunningHost();
  await host.start({
    driver: await createQemuDriver({ dataDirectory: host.dataDir }),
    images: new BusyboxShelf(await busyboxRootfs()),
    egressAllowPrivate: ["127.0.0.1"],
    resolveName: async (name) => (name === "rebind.test" ? ["192.168.0.1"] : ["127.0.0.1"]),
  });
  await host.withGroup();
});

afterAll(async () => {
  await host.disconnect();
  await host.server.stop({ stopSandboxes: true });
  await host.close();
  await new Promise((resolve) => site.close(resolve));
});

async function shell(id: string, command: string): Promise<{ exitCode: number; stdout: string; stderr: string }> {
  return (await host.call("POST", `${collection}/${id}/executeShellCommand`, { command })).body;
}

describe("a virtual machine", () => {
  it("without authorities of its own gets Mozilla's and the host's, where a rule looks into https", async () => {
    const rules = [{ match: { host: "site.test", path: "/api" }, action: { type: "Allow" } }];
    const id = await host.sandbox({ ...small, egressPolicy: { defaultAction: "Deny", rules } });
    const count = await shell(id, "grep -c BEGIN $SSL_CERT_FILE $NODE_EXTRA_CA_CERTS");
    const [bundle, authority] = count.stdout
      .trim()
      .split("\n")
      .map((line) => Number(line.split(":")[1]));
    expect(authority).toBe(1);
    expect(bundle).toBe(rootCertificates.length + 1);
  });

  it("has no network device, and reaches through the proxy what its policy allows", async () => {
    const id = await host.sandbox({ ...small, egressPolicy });
    const devices = await shell(id, "ls /sys/class/net");
    expect(devices.stdout).toBe("lo\n");
    expect((await shell(id, `wget -q -O - ${url}/path`)).stdout).toBe(`site: ${new URL(url).host} /path`);
    const direct = await shell(id, `echo | nc -w 5 127.0.0.1 ${new URL(url).port}`);
    expect([direct.exitCode, direct.stdout]).toEqual([1, ""]);
    for (const [address, told] of [
      ["http://elsewhere.example/", "403"],
      ["http://169.254.169.254/latest/meta-data/", "403"],
      ["http://rebind.test/", "403"],
    ]) {
      const refused = await shell(id, `wget -O - ${address}`);
      expect([refused.exitCode, refused.stderr], address).toEqual([1, expect.stringContaining(told!)]);
    }
    const { allowed, denied } = egressDecisionsView.parse(
      (await host.call("GET", `${collection}/${id}/egress-decisions`)).body,
    );
    expect(allowed.map(({ host: name, path }) => [name, path])).toEqual([["site.test", "/path"]]);
    expect(denied.map(({ host: name, reason }) => [name, reason])).toEqual([
      ["elsewhere.example", "defaultAction"],
      ["169.254.169.254", "defaultAction"],
      ["rebind.test", "address"],
    ]);
    await host.call("DELETE", `${collection}/${id}`);
  });

  it("is reached at its ports, sleeps, and is woken by a call; its way out is there, too", async () => {
    const id = await host.sandbox({
      ...{ ...small, egressPolicy },
      ports: [{ port: 8080, auth: { anonymous: true }, activationMode: "OnDemand" }],
    });
    await shell(id, "mkdir /tmp/www && echo hello > /tmp/www/index.html && httpd -p 127.0.0.1:8080 -h /tmp/www");
    const address = (await host.call("GET", `${collection}/${id}`)).body.ports[0].url;
    const get = async (path: string) => {
      const reply = await request(address + path, { reset: true });
      return [reply.statusCode, await reply.body.text()];
    };
    expect(await get("/")).toEqual([200, "hello\n"]);
    expect((await get("/missing"))[0]).toBe(404);
    await host.call("POST", `${collection}/${id}/stop`);
    expect((await host.call("GET", `${collection}/${id}`)).body.state).toBe("Stopped");
    expect(await get("/")).toEqual([200, "hello\n"]);
    expect((await host.call("GET", `${collection}/${id}`)).body.state).toBe("Running");
    expect((await shell(id, `wget -q -O - ${url}/again`)).stdout).toContain("/again");
    await host.call("DELETE", `${collection}/${id}`);
    await expect(get("/")).rejects.toThrow("ECONNREFUSED");
  });

  it("carries megabytes out and in whole", async () => {
    const id = await host.sandbox({ ...small, egressPolicy, ports: [{ port: 8080, auth: { anonymous: true } }] });
    await shell(
      id,
      "mkdir /tmp/www && dd if=/dev/urandom of=/tmp/www/big bs=1M count=8 2>/dev/null && httpd -p 8080 -h /tmp/www",
    );
    const sum = (await shell(id, "sha256sum < /tmp/www/big")).stdout.slice(0, 64);
    const address = (await host.call("GET", `${collection}/${id}`)).body.ports[0].url;
    const { createHash } = await import("node:crypto");
    const reply = await request(`${address}/big`);
    const bytes = Buffer.from(await reply.body.arrayBuffer());
    expect(createHash("sha256").update(bytes).digest("hex")).toBe(sum);
    const big = createServer((_incoming, response) => response.end(bytes)).listen(0, "127.0.0.1");
    await once(big, "listening");
    const { port } = big.address() as AddressInfo;
    expect((await shell(id, `wget -q -O - http://big.test:${port}/ | sha256sum`)).stdout.slice(0, 64)).toBe(sum);
    big.close();
    await host.call("DELETE", `${collection}/${id}`);
  });
});
