import { execFileSync, spawn } from "node:child_process";
import { once } from "node:events";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { checkImageTools, createCatalogue, createImageStore, type StoredImage } from "../../../provider/host/images";
import { cacheDirectory } from "../../../provider/host/vm/cacheDirectory";

let work: string;
let dataDir: string;
let image: StoredImage;
const steps: string[] = [];

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "catalogue-"));
  dataDir = join(work, "data");
  const store = createImageStore({ dataDir, cacheDir: cacheDirectory() });
  image = await store.import("python", { onProgress: (message) => steps.push(message) });
});

afterAll(() => rm(work, { recursive: true }));

describe("the catalogue's python", () => {
  it("is a Debian with Python, owned by root, without the host's settings", async () => {
    expect(image).toMatchObject({ reference: "python", config: { cmd: ["python3"], env: { LANG: "C.UTF-8" } } });
    const listed = execFileSync("unsquashfs", ["-lln", image.rootfsPath], { maxBuffer: 1e8 }).toString();
    expect(listed).toMatch(/^drwxr-xr-x 0\/0 .* squashfs-root$/m);
    expect(listed).toMatch(/^-rwxr-xr-x 0\/0 .* squashfs-root\/usr\/bin\/python3\.\d+$/m);
    expect(listed).toMatch(/squashfs-root\/usr\/bin\/python -> python3$/m);
    expect(listed).toMatch(/^-rwsr-xr-x 0\/0 .* squashfs-root\/usr\/bin\/su$/m);
    expect(listed).not.toMatch(/^[bc]/m);
    expect(listed).not.toContain("99mmdebstrap");
  });

  it("holds bytecode that Python loads without looking at its source", async () => {
    const listed = execFileSync("unsquashfs", ["-lln", image.rootfsPath], { maxBuffer: 1e8 }).toString();
    const bytecode = [...listed.matchAll(/squashfs-root\/(usr\/lib\/python3\.\d+\/json\/.*\.pyc)$/gm)];
    expect(bytecode.length).toBeGreaterThan(2);
    for (const [, path] of bytecode) {
      const content = execFileSync("unsquashfs", ["-cat", image.rootfsPath, path as string]);
      // PEP 552: hash-based, not checked.
      expect(content.readUInt32LE(4)).toBe(1);
    }
  });

  it("is made once, and found by other data directories", async () => {
    const again: string[] = [];
    const other = createImageStore({ dataDir: join(work, "other"), cacheDir: cacheDirectory() });
    expect(await other.resolve("python")).toBe(image.digest);
    const found = await other.import("python", { onProgress: (message) => again.push(message) });
    expect(again).toEqual([]);
    expect(found).toMatchObject({ digest: image.digest, rootfsDigest: image.rootfsDigest });
    expect((await other.get(image.digest))?.rootfsPath).toBe(found.rootfsPath);
    expect(await readdir(join(work, "other", "images", ".importing"))).toEqual([]);
  });

  it("stands in for an image that no registry can be asked for, and for no other", async () => {
    const said: string[] = [];
    const catalogue = createCatalogue({
      away: { source: "registry.invalid/away:1", standIn: "recipe:python" },
      alone: "registry.invalid/alone:1",
    });
    const options = { dataDir: join(work, "stand-in"), cacheDir: cacheDirectory(), catalogue };
    const store = createImageStore({ ...options, limits: { tries: 1 } });
    const found = await store.import("away", { onProgress: (message) => said.push(message) });
    expect(found).toMatchObject({ digest: image.digest, reference: "away" });
    expect(said.join("\n")).toContain("taking python in its place");
    expect(await store.resolve("away")).toBe(image.digest);
    await expect(store.import("alone")).rejects.toMatchObject({ code: "RegistryFailed" });
  });

  it("has no digest before it was made", async () => {
    expect(await createImageStore({ dataDir: join(work, "empty") }).resolve("python")).toBeUndefined();
  });

  it("ends with its caller, leaving no process and no chroot", async () => {
    const leaving = new AbortController();
    const store = createImageStore({ dataDir: join(work, "aborted") });
    const onProgress = (message: string) => {
      if (message.startsWith("downloading")) leaving.abort();
    };
    await expect(store.import("debian", { signal: leaving.signal, onProgress })).rejects.toThrow(/abort/);
    await expect.poll(() => readdir(join(work, "aborted", "images", ".importing"))).toEqual([]);
    await expect.poll(chroots).toEqual([]);
  });

  it("of a host that crashed while making it is cleared away at the next start", async () => {
    const program = `
      const { createImageStore } = require(${JSON.stringify(join(process.cwd(), "dist/host/images"))});
      const onProgress = (message) => console.log(message);
      createImageStore({ dataDir: process.argv[1] }).import("debian", { onProgress });`;
    const host = spawn(process.execPath, ["-e", program, join(work, "crashed")], {
      stdio: ["ignore", "pipe", "inherit"],
    });
    for await (const text of host.stdout) if (text.toString().includes("installing essential")) break;
    // Before the kill: mounts in this namespace would stay, with the host's /dev/shm inside.
    expect(await readFile("/proc/self/mountinfo", "utf8")).not.toContain("sandboxes-debian-");
    const ended = once(host, "exit");
    host.kill("SIGKILL");
    await ended;
    expect(await readFile("/proc/self/mountinfo", "utf8")).not.toContain("sandboxes-debian-");
    expect(await chroots()).toHaveLength(1);
    await expect.poll(() => processesIn(/mmdebstrap|debootstrap/)).toEqual([]);
    await createImageStore({ dataDir: join(work, "crashed") }).remove(image.digest);
    expect(await chroots()).toEqual([]);
  });

  /** Of this test run, by its temporary directory. */
  async function processesIn(pattern: RegExp): Promise<string[]> {
    const pids = (await readdir("/proc")).filter((name) => /^\d+$/.test(name));
    const read = (pid: string, name: string) => readFile(`/proc/${pid}/${name}`, "latin1").catch(() => "");
    const commands = pids.map(async (pid) =>
      (await read(pid, "environ")).includes(tmpdir()) && pattern.test(await read(pid, "cmdline")) ? pid : "",
    );
    return (await Promise.all(commands)).filter(Boolean);
  }

  async function chroots(): Promise<string[]> {
    return (await readdir(tmpdir())).filter((name) => /^(mmdebstrap\.|sandboxes-debian-)/.test(name));
  }
});

describe("checkImageTools", () => {
  it("tells the versions of what images need", async () => {
    const tools = await checkImageTools();
    expect(tools.map(({ name }) => name)).toEqual(["sqfstar", "skopeo", "setpriv", "mmdebstrap"]);
    for (const { version } of tools) expect(version).toMatch(/^\d+\.\d+/);
  });
});
