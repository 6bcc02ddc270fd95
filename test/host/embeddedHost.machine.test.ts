import { execFile, spawn } from "node:child_process";
import { existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { promisify } from "node:util";
import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { embeddedHostStatus, ensureEmbeddedHost, stopEmbeddedHost } from "../../provider/client/embeddedHost";
import { SandboxApi } from "../../provider/client/sandboxApi";

const run = promisify(execFile);
const main = join(__dirname, "../../dist/cli/main.js");

describe("the embedded host", () => {
  let folder: string;
  let dataDir: string;
  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), "embedded-"));
    dataDir = join(folder, "data");
    vi.stubEnv("SANDBOXES_DRIVER", "memory");
    vi.stubEnv("SANDBOXES_TOKEN", "a secret of the starter");
  });
  afterEach(async () => {
    await stopEmbeddedHost({ dataDir });
    expect(daemonsOf(dataDir)).toEqual([]);
    vi.unstubAllEnvs();
    rmSync(folder, { recursive: true, force: true });
  });

  test("ten starters at once end up with one daemon", async () => {
    const starters = Array.from({ length: 10 }, () => sandboxes("host", "start", "--data", dataDir, "--json"));
    const answers = (await Promise.all(starters)).map(({ stdout }) => JSON.parse(stdout));
    expect(new Set(answers.map(({ endpoint }) => endpoint))).toEqual(new Set([`unix:${dataDir}/host.sock`]));
    while (daemonsOf(dataDir).length > 1) await sleep(20); // Losers that are about to end.
    const { status } = await embeddedHostStatus({ dataDir });
    expect(daemonsOf(dataDir)).toEqual([status?.processId]);
    const log = readFileSync(join(dataDir, "host.log"), "utf8");
    expect(log.match(/"ready":true/g)).toHaveLength(1);
  });

  test("the daemon gets none of its starter's secrets", async () => {
    await ensureEmbeddedHost({ dataDir });
    const [pid] = daemonsOf(dataDir);
    const environment = readFileSync(`/proc/${pid}/environ`, "utf8");
    expect(environment).toContain("SANDBOXES_DRIVER=memory");
    expect(environment).not.toContain("a secret of the starter");
  });

  test.each([["SIGKILL"], ["SIGTERM"]] as const)("after %s a new daemon finds the sandbox alive", async (signal) => {
    const sandbox = await startSandbox();
    await sandbox.shell("echo kept > /tmp/kept");
    const [pid] = daemonsOf(dataDir);
    process.kill(pid!, signal);
    while (daemonsOf(dataDir).length > 0) await sleep(20);
    await ensureEmbeddedHost({ dataDir });
    const again = sandbox.reconnect();
    expect((await again.get()).state).toBe("Running");
    expect(await again.shell("cat /tmp/kept")).toBe("kept\n");
  });

  test("a stop ends machines that a killed daemon left", async () => {
    await startSandbox();
    process.kill(daemonsOf(dataDir)[0]!, "SIGKILL");
    while (daemonsOf(dataDir).length > 0) await sleep(20);
    expect(readdirSync(join(dataDir, "vms"))).toHaveLength(1);
    expect(await stopEmbeddedHost({ dataDir })).toEqual({ stopped: true });
    expect(readdirSync(join(dataDir, "vms"))).toEqual([]);
    expect(existsSync(join(dataDir, "host.sock"))).toBe(false);
    expect(await stopEmbeddedHost({ dataDir })).toEqual({ stopped: false });
  });

  test("a daemon that cannot start says why", async () => {
    vi.stubEnv("SANDBOXES_DRIVER", "none");
    await expect(ensureEmbeddedHost({ dataDir })).rejects.toThrow(/There is no driver "none"/);
  });

  test("serve: ready line, exit codes for a bad command line and for a directory that is served", async () => {
    const socket = join(folder, "own.sock");
    const serve = ["host", "serve", "--data", dataDir, "--listen"];
    const first = spawn(process.execPath, [main, ...serve, `unix:${socket}`], { stdio: ["ignore", "pipe", "ignore"] });
    const output = text(first.stdout);
    while (!existsSync(socket)) await sleep(20);
    await expect(sandboxes(...serve, `unix:${folder}/other.sock`)).rejects.toMatchObject({ code: 3 });
    await expect(sandboxes(...serve, "127.0.0.1:0")).rejects.toMatchObject({ code: 3 });
    first.kill("SIGTERM");
    expect(JSON.parse(await output)).toEqual({ ready: true, endpoint: `unix:${socket}` });
    expect(existsSync(socket)).toBe(false);
    await expect(sandboxes(...serve, "127.0.0.1:0")).rejects.toMatchObject({ code: 2 });
    await expect(sandboxes("host", "serve")).rejects.toMatchObject({ code: 2 });
  });

  test("status and logs of a host that does not run start nothing", async () => {
    await expect(sandboxes("host", "status", "--data", dataDir)).rejects.toMatchObject({ code: 1 });
    expect((await sandboxes("host", "logs", "--data", dataDir)).stdout).toBe("");
    expect(existsSync(dataDir)).toBe(false);
  });

  async function startSandbox() {
    const { endpoint } = await ensureEmbeddedHost({ dataDir });
    mkdirSync(join(folder, "root"));
    writeFileSync(join(folder, "root", "hello"), "hello");
    await run("tar", ["-cf", join(folder, "root.tar"), "-C", join(folder, "root"), "."]);
    const open = () => {
      const api = new SandboxApi({ endpoint, subscriptionId: "s", resourceGroupName: "local" });
      return { api, group: api.group("g1") };
    };
    const { api, group } = open();
    await api.groups.put("g1", { location: "local" });
    let image = await group.diskImages.create({ image: { base: `rootfs:${folder}/root.tar` } });
    while (image.status.state === "Building") {
      await sleep(50);
      image = await group.diskImages.get(image.id);
    }
    const { id } = await group.sandboxes.create({ sourcesRef: { diskImage: { id: image.id } } });
    const over = ({ group: target }: ReturnType<typeof open>) => ({
      get: () => target.sandboxes.get(id),
      shell: async (command: string) => (await target.sandboxes.execShell(id, { command })).stdout,
    });
    return { ...over({ api, group }), reconnect: () => over(open()) };
  }
});

function sandboxes(...args: string[]): Promise<{ stdout: string; stderr: string }> {
  return run(process.execPath, [main, ...args]);
}

/** Processes that serve the directory. */
function daemonsOf(dataDir: string): number[] {
  const isDaemon = (pid: string) => {
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      return words.includes("serve") && words.includes(dataDir);
    } catch {
      return false; // It ended while we looked.
    }
  };
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name) && isDaemon(name))
    .map(Number);
}
