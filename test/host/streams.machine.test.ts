import { createCipheriv, createHash, type Hash } from "node:crypto";
import { readFileSync } from "node:fs";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { afterAll, beforeAll, expect, test } from "vitest";
import { stopEmbeddedHost } from "../../provider/client/embeddedHost";
import { resolveConnection } from "../../provider/client/resolveConnection";
import { SandboxApi } from "../../provider/client/sandboxApi";
import { connect, type Group, type Sandbox } from "../../provider/runtime";
import { Archives } from "./crash/archives";
import { hostProcesses } from "./crash/hostProcesses";
import { SeededRandom } from "./crash/seededRandom";

const mebibyte = 2 ** 20;
/** What the daemon may take more for all than for the first ten MiB, and the guest's agent at all. */
const daemonMayGrowMiB = 40;
const agentMayTakeKiB = 3000;

let folder: string;
let dataDir: string;
let group: Group;
let api: SandboxApi;
let sandbox: Sandbox;
let daemonPid: number;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), "sandboxes-streams-"));
  dataDir = join(folder, "data");
  group = await connect({ dataDir });
  api = new SandboxApi(await resolveConnection({ dataDir }));
  const image = `rootfs:${await new Archives(folder, new SeededRandom(1)).system()}`;
  sandbox = await group.createSandbox({ image, resources: { cpu: "1", memory: "128Mi", disk: "512Mi" } });
  daemonPid = hostProcesses(dataDir, "").find(({ kind }) => kind === "daemon")!.pid;
});

afterAll(async () => {
  await sandbox?.delete();
  await api?.close();
  await group?.close();
  await stopEmbeddedHost({ dataDir });
  expect(hostProcesses(dataDir, "")).toEqual([]);
  await rm(folder, { recursive: true });
});

/** Bytes without any pattern, the same on each run; `hash` learns what was asked for. */
async function* noise(sizeMiB: number, hash: Hash): AsyncGenerator<Buffer> {
  const cipher = createCipheriv("aes-128-ctr", Buffer.alloc(16, 1), Buffer.alloc(16));
  for (let block = 0; block < sizeMiB; block++) {
    const bytes = cipher.update(Buffer.alloc(mebibyte));
    hash.update(bytes);
    yield bytes;
  }
}

/** Reads to the end with pauses, a long one in the middle. */
async function readSlowly(
  source: AsyncIterable<Buffer>,
  sizeMiB: number,
  atMiB: (count: number) => Promise<void>,
): Promise<string> {
  const hash = createHash("sha256");
  let length = 0;
  let told = 0;
  for await (const chunk of source) {
    hash.update(chunk);
    length += chunk.length;
    for (; told < Math.floor(length / mebibyte); told++) {
      await atMiB(told + 1);
      if (told + 1 === 20) await sleep(3000);
      else await sleep(5);
    }
  }
  expect(length).toBe(sizeMiB * mebibyte);
  return hash.digest("hex");
}

const daemonMiB = (): number => {
  const status = readFileSync(`/proc/${daemonPid}/status`, "utf8");
  return Number(/^VmRSS:\s+(\d+)/m.exec(status)?.[1]) / 1024;
};

/** Of the guest's process 1: now and at most. */
async function agentKiB(): Promise<number[]> {
  const { stdout } = await sandbox.exec("grep -E 'VmRSS|VmHWM' /proc/1/status", { check: true });
  return [...stdout.matchAll(/(\d+) kB/g)].map(([, kib]) => Number(kib));
}

/** Follows the memory of daemon and agent while something flows. */
function memoryOf() {
  const daemon: number[] = [];
  const agent: number[] = [];
  const timer = setInterval(() => daemon.push(daemonMiB()), 200);
  return {
    /** Called as MiB arrive. */
    async at(count: number): Promise<void> {
      if (count === 10) daemon.length = 0;
      if (count % 20 === 0) agent.push(...(await agentKiB()));
    },
    expectFlat(): void {
      clearInterval(timer);
      expect(daemon.length).toBeGreaterThan(10);
      expect(agent).not.toEqual([]);
      expect(Math.max(...daemon) - daemon[0]!).toBeLessThan(daemonMayGrowMiB);
      expect(Math.max(...agent)).toBeLessThan(agentMayTakeKiB);
    },
  };
}

test("100 MiB go through a program to a slow reader, byte for byte, in memory that stays flat", async () => {
  const sizeMiB = 100;
  const program = await sandbox.spawn(["cat"]);
  program.stderr.resume();
  const sent = createHash("sha256");
  const memory = memoryOf();
  const feeding = (async () => {
    for await (const bytes of noise(sizeMiB, sent)) {
      await new Promise<void>((resolve, reject) =>
        program.stdin.write(bytes, (error) => (error ? reject(error) : resolve())),
      );
    }
    program.stdin.end();
  })();
  const received = await readSlowly(program.stdout, sizeMiB, memory.at);
  await feeding;
  expect(await program.wait()).toMatchObject({ exitCode: 0 });
  expect(received).toBe(sent.digest("hex"));
  memory.expectFlat();
});

test("30 MiB go into a file and out of it likewise", async () => {
  const sizeMiB = 30;
  const sent = createHash("sha256");
  const memory = memoryOf();
  await sandbox.files.write("/large", noise(sizeMiB, sent));
  const content = await api.group("default").files.read(sandbox.id, "/large");
  const received = await readSlowly(content, sizeMiB, memory.at);
  const digest = sent.digest("hex");
  expect(received).toBe(digest);
  expect((await sandbox.exec("sha256sum /large", { check: true })).stdout).toBe(`${digest}  /large\n`);
  memory.expectFlat();
});
