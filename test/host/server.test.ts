import { mkdtempSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Agent, request } from "undici";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { createHostServer } from "../../provider/host/server";
import { openDatabase } from "../../provider/host/store/database";
import { Machines } from "./fakes/machines";
import { armPath, groupPath, RunningHost } from "./fakes/runningHost";
import { hasCode, Shelf } from "./fakes/shelf";

const token = "0123456789abcdef";

describe("the server", () => {
  let host: RunningHost;
  beforeEach(() => {
    host = new RunningHost();
  });
  afterEach(() => host.close());

  test("the socket and the database are their owner's alone", async () => {
    await host.start();
    expect(statSync(host.socket).mode & 0o777).toBe(0o600);
    for (const file of ["state.db", "state.db-wal"]) {
      expect(statSync(join(host.dataDir, file)).mode & 0o777).toBe(0o600);
    }
  });

  test("a stale socket is replaced, a file in its place is not", async () => {
    await host.start();
    const first = host.server;
    await host.restart();
    expect((await host.call("GET", "/healthz")).status).toBe(200);
    await first.stop();
    await host.disconnect();
    await host.server.stop();
    writeFileSync(host.socket, "precious");
    await expect(host.start()).rejects.toSatisfy(hasCode("Conflict"));
  });

  test("a line of the log names the request that set in motion what it tells of, once", async () => {
    await (await host.start()).withGroup();
    const body = { image: { base: "missing:1" } };
    const { headers } = await host.call("PUT", `${groupPath}/diskImages`, body);
    const lines = () => host.log.filter((line) => line.includes("image import failed"));
    await expect.poll(lines).toHaveLength(1);
    expect(JSON.parse(lines()[0]!).requestId).toBe(headers["x-ms-request-id"]);
    const told = host.log.filter((line) => line.includes(String(headers["x-ms-request-id"])));
    expect(told.map((line) => line.split("requestId").length)).toEqual(told.map(() => 2));
    expect(told.some((line) => JSON.parse(line).msg === "request")).toBe(true);
  });

  test("a socket with a path too long for the kernel works", async () => {
    const deep = join(host.dataDir, "d".repeat(100));
    await host.start({ listen: `unix:${deep}/host.sock` });
    expect(statSync(join(deep, "host.sock")).mode & 0o777).toBe(0o600);
  });

  test("a second host of the same data directory is refused", async () => {
    await host.start();
    // The lock is between processes; SQLite also keeps two connections of one process apart.
    expect(() => openDatabase(host.dataDir)).toThrow(expect.objectContaining({ code: "InUse" }));
  });

  test("TCP without TLS or without a token is refused", () => {
    const directory = mkdtempSync(join(tmpdir(), "host-"));
    const options = { ...baseOptions(directory), listen: "127.0.0.1:0" };
    expect(() => createHostServer({ ...options, token })).toThrow(/without TLS/);
    expect(() => createHostServer({ ...options, tls: "self-signed" })).toThrow(/without a token/);
    expect(() => createHostServer({ ...options, tls: "self-signed", token: "short" })).toThrow(/16 characters/);
    expect(() => createHostServer({ ...options, listen: "nonsense" })).toThrow(/Cannot listen/);
    options.database.close();
    rmSync(directory, { recursive: true });
  });

  test("TLS with a token: only the right token gets in, and the certificate is the reported authority's", async () => {
    const directory = mkdtempSync(join(tmpdir(), "host-"));
    const server = createHostServer({ ...baseOptions(directory), listen: "127.0.0.1:0", tls: "self-signed", token });
    const { endpoint, caFile } = await server.start();
    const agent = new Agent({ connect: { ca: readFileSync(caFile!) } });
    const call = async (path: string, headers: Record<string, string> = {}, method: "GET" | "POST" = "GET") => {
      const reply = await request(`${endpoint}${path}`, { dispatcher: agent, headers, method });
      return { status: reply.statusCode, headers: reply.headers, body: await reply.body.json() };
    };
    try {
      expect(statSync(caFile!).mode & 0o777).toBe(0o600);
      expect((await call("/healthz")).status).toBe(200);
      for (const authorization of ["", "Bearer wrong", `Basic ${token}`, `Bearer ${token}x`, "Bearer"]) {
        const refused = await call(`${groupPath}/sandboxes?api-version=2026-02-01-preview`, { authorization });
        expect(refused.status).toBe(401);
        expect(refused.headers["www-authenticate"]).toBe("Bearer");
        expect(refused.body).toMatchObject({ title: "Unauthorized", error: { code: "Unauthorized" } });
      }
      const right = { authorization: `Bearer ${token}` };
      expect((await call("/status", right)).status).toBe(200);
      expect((await call("/status")).status).toBe(401);
      expect((await call("/shutdown", right, "POST")).status).toBe(403);
      const put = (path: string, body: object) =>
        request(`${endpoint}${path}?api-version=2026-02-01-preview`, {
          dispatcher: agent,
          method: "PUT",
          headers: { ...right, "content-type": "application/json" },
          body: JSON.stringify(body),
        });
      const group = await put(`${armPath}/g1`, { location: "local" });
      expect(await group.body.json()).toMatchObject({ properties: { managementEndpoint: endpoint } });
      for (const base of ["rootfs:/x.tar", " rootfs:/x.tar", "oci:/etc", "docker-archive:/x.tar"]) {
        const image = await put(`${groupPath}/diskimages`, { image: { base } });
        expect([image.statusCode, await image.body.json()]).toMatchObject([400, { error: { code: "Forbidden" } }]);
      }
    } finally {
      await agent.close();
      await server.stop();
      rmSync(directory, { recursive: true });
    }
  });

  test("files of the host are for callers on its own machine only", async () => {
    const local = await (await host.start()).withGroup();
    const image = { image: { base: "rootfs:/x.tar" } };
    expect((await local.call("PUT", `${groupPath}/diskimages`, image)).status).toBe(200);
  });

  test("status and metrics tell accelerator, counts and queue", async () => {
    await (await host.start()).withGroup();
    await host.sandbox();
    const { body } = await host.call("GET", "/status");
    expect(body).toMatchObject({
      version: "0.0.0-test",
      accelerator: "in-process",
      isolation: "none",
      counts: { groups: 1, sandboxes: 1, running: 1, diskImages: 0 },
      queue: { running: 0, waiting: 0 },
      memory: { reservedMiB: 576 },
    });
    const metrics = await host.call("GET", "/metrics");
    expect(metrics.headers["content-type"]).toMatch(/openmetrics-text/);
    expect(metrics.text).toContain('sandboxes_sandboxes{state="Running"} 1\n');
    expect(metrics.text.endsWith("# EOF\n")).toBe(true);
  });

  test("a restart finds running and stopped sandboxes, fails lost ones and ends strays", async () => {
    await (await host.start()).withGroup();
    const [running, stopped, lost] = [await host.sandbox(), await host.sandbox(), await host.sandbox()];
    await host.call("POST", `${groupPath}/sandboxes/${stopped}/stop`);
    await host.disconnect();
    await host.server.stop();
    expect(host.machines.vms.size).toBe(3);
    host.machines.vms.get(lost)!.crash("the power went");
    host.machines.vms.delete(lost);
    await host.machines.driver().clone({} as never, { vmId: "stray" });
    await host.start();
    const read = async (id: string) => (await host.call("GET", `${groupPath}/sandboxes/${id}`)).body;
    expect((await read(running)).state).toBe("Running");
    expect((await read(stopped)).state).toBe("Stopped");
    expect(await read(lost)).toMatchObject({ state: "Failed", stateDetails: { failedReason: expect.any(String) } });
    expect([...host.machines.vms.keys()].sort()).toEqual([running, stopped].sort());
    const exec = await host.call("POST", `${groupPath}/sandboxes/${running}/executeShellCommand`, {
      command: "echo hi",
    });
    expect(exec.body.stdout).toBe("hi\n");
    expect((await host.call("POST", `${groupPath}/sandboxes/${stopped}/resume`)).status).toBe(200);
    expect((await host.call("GET", "/status")).body.memory.reservedMiB).toBe(2 * 576);
  });

  test("a stop while a sandbox is made leaves neither machine nor record", async () => {
    await (await host.start()).withGroup();
    let begun = () => {};
    const beginning = new Promise<void>((resolve) => {
      begun = resolve;
    });
    let goOn = () => {};
    host.machines.beforeClone = () => {
      begun();
      return new Promise((resolve) => {
        goOn = resolve;
      });
    };
    const creating = host.sandbox();
    creating.catch(() => undefined); // Its connection is cut.
    await beginning;
    const stopping = host.server.stop();
    await expect(creating).rejects.toThrow();
    goOn();
    await stopping;
    expect(host.machines.vms.size).toBe(0);
    await host.disconnect();
    await host.start();
    expect((await host.call("GET", `${groupPath}/sandboxes`)).body).toEqual([]);
  });

  test("a sandbox's own program belongs to its machine: a restart of the host leaves it alone", async () => {
    await (await host.start()).withGroup();
    const id = await host.sandbox({ entrypoint: ["sleep", "1000"] });
    const { agent } = host.machines.vms.get(id)!;
    while (agent.running === 0) await sleep(5);
    await host.restart();
    expect(agent.requests).toMatchObject([{ argv: ["sleep", "1000"] }]);
    expect(agent.running).toBe(1);
  });

  test("a shutdown over the socket ends every machine, and the records say so", async () => {
    let ended = () => {};
    const end = new Promise<void>((resolve) => {
      ended = resolve;
    });
    await (await host.start({ onShutDown: ended })).withGroup();
    const id = await host.sandbox();
    expect((await host.call("POST", "/shutdown", { stopSandboxes: true })).status).toBe(202);
    await end;
    expect(host.machines.vms.size).toBe(0);
    await host.disconnect();
    await host.start();
    const { body } = await host.call("GET", `${groupPath}/sandboxes/${id}`);
    expect(body).toMatchObject({ state: "Failed", stateDetails: { failedReason: expect.stringContaining("stopped") } });
  });
});

function baseOptions(dataDir: string) {
  return {
    dataDir,
    database: openDatabase(dataDir),
    region: "local",
    version: "0",
    driver: new Machines().driver(),
    images: new Shelf(),
    log: false as const,
  };
}
