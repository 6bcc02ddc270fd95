import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ensureEmbeddedHost, stopEmbeddedHost } from "../../provider/client/embeddedHost";
import { resolveConnection } from "../../provider/client/resolveConnection";
import { SandboxApi } from "../../provider/client/sandboxApi";
import { connect, type Group, type Sandbox } from "../../provider/runtime";
import { Archives } from "../host/crash/archives";
import { hostProcesses } from "../host/crash/hostProcesses";
import { SeededRandom } from "../host/crash/seededRandom";

const resources = { cpu: "1", memory: "128Mi", disk: "256Mi" };

let folder: string;
let dataDir: string;
let image: string;
let group: Group;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sandboxes-suspend-"));
  dataDir = join(folder, "data");
  image = `rootfs:${await new Archives(folder, new SeededRandom(1)).system()}`;
  group = await connect({ dataDir });
});

afterAll(async () => {
  await group.close();
  await stopEmbeddedHost({ dataDir });
  expect(processes()).toEqual([]);
  await rm(folder, { recursive: true });
});

const processes = (kind?: string) => hostProcesses(dataDir, "").filter((each) => !kind || each.kind === kind);

/** `kill -9`, and another daemon. */
async function killDaemon(): Promise<void> {
  await group.close();
  const [daemon] = processes("daemon");
  process.kill(daemon!.pid, "SIGKILL");
  while (processes("daemon").length > 0) await sleep(20);
  await ensureEmbeddedHost({ dataDir });
  group = await connect({ dataDir });
}

async function output(sandbox: Sandbox, script: string): Promise<string> {
  return (await sandbox.exec(script, { check: true })).stdout.trim();
}

/** Leaves in the sandbox what only its memory holds: bytes without a file system on a disk, and a program at work. */
async function leaveTraces(sandbox: Sandbox): Promise<string> {
  const nonce = await output(sandbox, "head -c 16 /dev/urandom | sha256sum | tee /dev/shm/nonce");
  await output(
    sandbox,
    "(n=0; while :; do n=$((n + 1)); echo $n > /dev/shm/next; mv /dev/shm/next /dev/shm/count; sleep 0.05; done) > /dev/null 2>&1 & while ! test -s /dev/shm/count; do sleep 0.05; done",
  );
  await sandbox.background.start("i=0; while :; do i=$((i + 1)); echo $i; sleep 0.05; done", { id: "ticker" });
  return nonce;
}

/** Every line that it has printed since its start is there. */
async function expectTicker(sandbox: Sandbox): Promise<void> {
  const ticker = await sandbox.background.get("ticker");
  expect(ticker.exit).toBeUndefined();
  const { stdout, truncated, next } = await ticker.output();
  const lines = stdout.trim().split("\n").map(Number);
  expect([truncated, lines]).toEqual([false, lines.map((_, index) => index + 1)]);
  for await (const { data } of ticker.follow({ from: next })) {
    expect(Number(String(data).split("\n")[0])).toBe(lines.length + 1);
    break;
  }
}

async function expectTraces(sandbox: Sandbox, nonce: string): Promise<void> {
  expect(await output(sandbox, "cat /dev/shm/nonce")).toBe(nonce);
  const before = Number(await output(sandbox, "cat /dev/shm/count"));
  await expect.poll(async () => Number(await output(sandbox, "cat /dev/shm/count"))).toBeGreaterThan(before);
  await expectTicker(sandbox);
}

describe("a sandbox that is stopped", () => {
  test("is on disk, comes back with its memory and programs, and survives the death of its host meanwhile", async () => {
    const sandbox = await group.createSandbox({ image, resources });
    const nonce = await leaveTraces(sandbox);
    const called = sandbox.exec(["sleep", "98764"]).catch((error: unknown) => error);
    await expect.poll(() => output(sandbox, "ps")).toContain("sleep 98764");
    await sandbox.stop();
    expect(sandbox.state).toBe("Stopped");
    expect(processes("machine")).toEqual([]);
    expect(await called).toMatchObject({ code: "NotRunning" });
    await expect(sandbox.exec("true")).rejects.toMatchObject({ code: "NotRunning" });
    await expect(sandbox.stop()).rejects.toMatchObject({ code: "NotRunning" });

    await killDaemon();
    const again = await group.getSandbox(sandbox.id);
    expect(again.state).toBe("Stopped");
    await again.resume();
    await expectTraces(again, nonce);
    expect(await output(again, "ps")).toContain("sleep 98764");
    const asked = Date.now() / 1000;
    const told = Number(await output(again, "date +%s"));
    expect(told).toBeGreaterThan(asked - 5);
    expect(told).toBeLessThan(Date.now() / 1000 + 5);
    await expect(again.resume()).rejects.toMatchObject({ code: "InvalidState" });

    // And when the host dies while it runs.
    await killDaemon();
    await expectTraces(await group.getSandbox(sandbox.id), nonce);
    await (await group.getSandbox(sandbox.id)).delete();
    expect(processes("machine")).toEqual([]);
  });

  test("tells what its machine uses while it runs", async () => {
    await using sandbox = await group.createSandbox({ image, resources });
    const api = new SandboxApi(await resolveConnection({ dataDir }));
    const { sandboxes } = api.group(group.name);
    const stats = await sandboxes.stats(sandbox.id);
    expect(stats.memory?.totalBytes).toBeGreaterThan(64 * 2 ** 20);
    expect(stats.memory?.totalBytes).toBeLessThanOrEqual(128 * 2 ** 20);
    expect(stats.storage?.totalBytes).toBeGreaterThan(32 * 2 ** 20);
    expect(stats.cpu?.usageCoreNanoSeconds).toBeGreaterThan(0);
    await api.close();
  });
});

describe("a snapshot", () => {
  test("outlives its sandbox and makes others that are not the same", async () => {
    const sandbox = await group.createSandbox({ image, resources, env: { INHERITED: "yes" } });
    const nonce = await leaveTraces(sandbox);
    const snapshot = await sandbox.snapshot({ labels: { name: "one" } });
    expect(snapshot).toMatchObject({ sandboxId: sandbox.id, labels: { name: "one" } });
    await expectTraces(sandbox, nonce);
    await sandbox.delete();
    await killDaemon();

    const copies = await Promise.all([1, 2].map(() => group.createSandbox({ snapshot: snapshot.id })));
    const drawn = await Promise.all(
      copies.map(async (copy) => {
        await expectTraces(copy, nonce);
        expect(await output(copy, "echo $INHERITED")).toBe("yes");
        return (await output(copy, "head -c 32 /dev/urandom | sha256sum; cat /etc/machine-id; hostname")).split("\n");
      }),
    );
    for (const [index, value] of drawn[0]!.entries()) expect(value).not.toBe(drawn[1]![index]);
    const kept = await group.getSnapshot(snapshot.id);
    await kept.delete();
    await kept.delete();
    await expect(group.createSandbox({ snapshot: kept })).rejects.toMatchObject({ code: "NotFound" });
    // Their memory was mapped from it.
    for (const copy of copies) {
      await expectTraces(copy, nonce);
      await copy.delete();
    }
  });
});

describe("a commit", () => {
  test("makes an image of the files, not of the memory", async () => {
    const sandbox = await group.createSandbox({ image, resources });
    const made = [
      "mkdir -p /made/deep && echo content > /made/deep/file && chown 1000:1000 /made/deep/file",
      "chmod 4750 /made/deep/file && ln -s deep/file /made/link && ln /made/deep/file /made/twin",
      "mkfifo /made/pipe && rm /bin/vi && echo run > /run/gone && echo shm > /dev/shm/gone",
      "head -c 3000000 /dev/urandom > /made/large && sha256sum < /made/large",
    ];
    const sum = await output(sandbox, made.join(" && "));
    const id = await sandbox.commit({ labels: { name: "mine" } });
    await sandbox.delete();

    await using copy = await group.createSandbox({ image: id, resources });
    expect(await output(copy, "sha256sum < /made/large")).toBe(sum);
    expect(
      await output(copy, "cat /made/link; stat -c '%a %u %g %h' /made/twin; test -p /made/pipe && echo pipe"),
    ).toBe("content\n4750 1000 1000 2\npipe");
    expect(await output(copy, "ls /bin/vi /run/gone /dev/shm/gone 2> /dev/null; echo none")).toBe("none");
    expect((await copy.files.stat("/proc/self")).type).toBe("symlink");
  });
});
