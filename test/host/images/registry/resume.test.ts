import { execFileSync } from "node:child_process";
import { mkdtemp, readdir, rm, stat, utimes } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { SandboxesError } from "../../../../provider/client/errors";
import { createImageStore, type ImageStore } from "../../../../provider/host/images";
import { writeLayout } from "../testLayout";
import { startRegistry } from "../testRegistry";
import { file, tarOf } from "../testTar";
import { closeScriptedRegistries, noise, sendPart, startBreakingLine, startScriptedRegistry } from "./scriptedRegistry";

const layerBytes = 3_000_000;
const cutAt = 1_200_000;
/** With the connection goes what the client had not taken out of its buffer. */
const fromCut = expect.stringMatching(/^bytes=1\d{6}-$/);
const limits = { retryPauseMs: 10, tries: 3 };
const impatient = { ...limits, stallMs: 2000 };

let work: string;
let dataDir: string;
let store: ImageStore;
let count = 0;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "resume-"));
});
afterAll(() => rm(work, { recursive: true }));
beforeEach(() => {
  dataDir = join(work, `data-${++count}`);
  store = createImageStore({ dataDir, limits });
});
afterEach(closeScriptedRegistries);

describe("a download that was cut", () => {
  it("goes on where it was, however often a line breaks that brings something", async () => {
    const registry = await startScriptedRegistry(5 * cutAt, (layer, call) => sendPart(layer, call, cutAt));
    const progress: string[] = [];
    const image = await store.import(registry.reference, { onProgress: (message) => progress.push(message) });
    expect(image.digest).toBe(registry.digest);
    const starts = registry.layerRequests.map((range) => Number(/\d+/.exec(range ?? "0")?.[0]));
    expect(starts.length).toBeGreaterThan(limits.tries);
    expect(starts.slice(1).every((start, index) => start > (starts[index] as number) + 1_000_000)).toBe(true);
    expect(progress).toContainEqual(expect.stringMatching(/; trying again from byte 1\d{6}$/));
    expect(progress).toContainEqual(expect.stringMatching(/downloaded \d of \d MB/));
    await expectNoDownloads();
  });

  it("goes on after a stall too", async () => {
    const registry = await startScriptedRegistry(layerBytes, (layer, call) => {
      if (call.number > 1) sendPart(layer, call);
      else call.response.write(layer.subarray(0, cutAt));
    });
    await createImageStore({ dataDir, limits: impatient }).import(registry.reference);
    expect(registry.layerRequests).toEqual([undefined, fromCut]);
  });

  it("goes on after a stall in which single bytes drip", async () => {
    const registry = await startScriptedRegistry(layerBytes, (layer, call) => {
      if (call.number > 1) return sendPart(layer, call);
      let at = 0;
      const drip = setInterval(() => call.response.write(layer.subarray(at, ++at)), 100);
      call.response.on("close", () => clearInterval(drip));
    });
    await createImageStore({ dataDir, limits: impatient }).import(registry.reference);
    expect(registry.layerRequests).toEqual([undefined, expect.stringMatching(/^bytes=[1-9]\d?-$/)]);
  });

  it("starts anew where the registry sends everything again", async () => {
    const registry = await startScriptedRegistry(layerBytes, (layer, { response, number }) => {
      if (number === 1) response.write(layer.subarray(0, cutAt), () => response.socket?.end());
      else response.end(layer);
    });
    expect((await store.import(registry.reference)).digest).toBe(registry.digest);
    expect(registry.layerRequests).toEqual([undefined, fromCut]);
  });

  it.each([
    ["refuses ranges", 416, undefined],
    ["answers with another range", 206, "bytes 5-9/10"],
  ])("starts anew where the registry %s", async (_, status, range) => {
    const registry = await startScriptedRegistry(layerBytes, (layer, call) => {
      const { response, start } = call;
      if (start === 0) return sendPart(layer, call, call.number === 1 ? cutAt : undefined);
      response.removeHeader("content-length");
      response.writeHead(status, range === undefined ? {} : { "content-range": range }).end("what");
    });
    await store.import(registry.reference);
    expect(registry.layerRequests).toEqual([undefined, fromCut, undefined]);
  });

  it("starts anew when the halves do not fit together", async () => {
    const registry = await startScriptedRegistry(layerBytes, (layer, call) => {
      if (call.number === 1) return sendPart(Buffer.alloc(layer.length, 7), call, cutAt);
      sendPart(layer, call);
    });
    await store.import(registry.reference);
    expect(registry.layerRequests).toEqual([undefined, fromCut, undefined]);
  });

  it("waits for a registry that is busy, as long as it asks", async () => {
    const registry = await startScriptedRegistry(layerBytes, (layer, call) => {
      if (call.number > 2) return sendPart(layer, call);
      call.response.removeHeader("content-length");
      call.response.writeHead(call.number === 1 ? 429 : 503, { "retry-after": "0" }).end("later");
    });
    await store.import(registry.reference);
    expect(registry.layerRequests).toHaveLength(3);
  });
});

describe("a download that comes to nothing", () => {
  it.each([
    [
      "cut",
      /half-way|connection was cut/,
      (layer: Buffer, call: Parameters<typeof sendPart>[1]) => sendPart(layer, call, 10),
    ],
    [
      "stalled",
      /nothing more came for 2 s/,
      (layer: Buffer, call: Parameters<typeof sendPart>[1]) => void call.response.write(layer.subarray(0, 10)),
    ],
  ])("is given up after so many tries when it is %s, with the reason", async (_, message, send) => {
    const registry = await startScriptedRegistry(layerBytes, send);
    await expect(createImageStore({ dataDir, limits: impatient }).import(registry.reference)).rejects.toMatchObject({
      code: "RegistryFailed",
      message: expect.stringMatching(message),
    });
    expect(registry.layerRequests).toHaveLength(limits.tries);
    expect(await store.list()).toEqual([]);
  });

  it("is taken up by the next import, also of another process", async () => {
    let isBack = false;
    const registry = await startScriptedRegistry(layerBytes, (layer, call) => {
      if (call.number === 1 || isBack) sendPart(layer, call, isBack ? undefined : cutAt);
      else call.response.destroy();
    });
    await expect(store.import(registry.reference)).rejects.toMatchObject({ code: "RegistryFailed" });
    isBack = true;
    const next = createImageStore({ dataDir, limits });
    await next.import(registry.reference);
    expect(registry.layerRequests.at(-1)).toEqual(fromCut);
    await expectNoDownloads();
  });

  it("is taken up when the host has stopped meanwhile, and not when its image was given up", async () => {
    const registry = await startScriptedRegistry(layerBytes, (layer, { response }) => {
      response.write(layer.subarray(0, cutAt));
    });
    for (const [reason, left] of [
      [new SandboxesError("HostUnavailable", "The host is stopping"), 1],
      [undefined, 0],
    ] as const) {
      const pulls = join(dataDir, "images", ".pulls");
      const abort = new AbortController();
      const asked = registry.layerRequests.length;
      const pulling = createImageStore({ dataDir, limits });
      const given = expect(pulling.import(registry.reference, { signal: abort.signal })).rejects.toThrow();
      await expect.poll(() => registry.layerRequests.length).toBe(asked + 1);
      await expect.poll(() => bytesBelow(pulls)).toBeGreaterThan(0);
      abort.abort(reason);
      await given;
      await expect.poll(() => readdir(pulls)).toHaveLength(left);
    }
  });

  it("is told of, and removed unless an import is at it", async () => {
    let isBack = false;
    const held = Promise.withResolvers<void>();
    const registry = await startScriptedRegistry(layerBytes, async (layer, call) => {
      if (isBack) await held.promise;
      sendPart(layer, call, isBack ? undefined : 500_000);
    });
    await expect(store.import(registry.reference)).rejects.toMatchObject({ code: "RegistryFailed" });
    const [pull] = await store.abandonedPulls();
    expect(pull).toMatchObject({ digest: registry.digest, sizeBytes: expect.any(Number) });
    expect(pull?.sizeBytes).toBeGreaterThan(300_000);
    isBack = true;
    const importing = store.import(registry.reference);
    await expect.poll(() => store.abandonedPulls()).toEqual([]);
    expect(await store.removePull(registry.digest)).toBe(false);
    held.resolve();
    await importing;
    await expectNoDownloads();

    isBack = false;
    await store.remove(registry.digest);
    await expect(store.import(registry.reference)).rejects.toMatchObject({ code: "RegistryFailed" });
    expect(await store.removePull(registry.digest)).toBe(true);
    expect(await store.removePull(registry.digest)).toBe(false);
    await expectNoDownloads();
  });

  it("is forgotten after a day", async () => {
    const registry = await startScriptedRegistry(layerBytes, (layer, call) => sendPart(layer, call, 10));
    await expect(store.import(registry.reference)).rejects.toMatchObject({ code: "RegistryFailed" });
    const pulls = join(dataDir, "images", ".pulls");
    const [name = ""] = await readdir(pulls);
    const dayBefore = new Date(Date.now() - 25 * 3600_000);
    await utimes(join(pulls, name), dayBefore, dayBefore);
    createImageStore({ dataDir });
    await expect.poll(() => readdir(pulls)).toEqual([]);
  });
});

it("arrives from Debian's registry over a line that breaks all the time", async () => {
  const registry = await startRegistry();
  try {
    const layout = join(work, "layout");
    const layers = [1, 2].map((number) => tarOf([file(`noise-${number}`, noise(4_000_000 + number))]));
    const [pushed] = await writeLayout(layout, [{ layers }]);
    execFileSync("skopeo", [
      "copy",
      "-q",
      "--dest-tls-verify=false",
      `oci:${layout}`,
      `docker://${registry.host}/noise:1`,
    ]);
    const line = await startBreakingLine(registry.host, 1_500_000);
    const patient = createImageStore({ dataDir, limits: { ...limits, tries: 20 } });
    const image = await patient.import(`${line.host}/noise:1`);
    expect(image.digest).toBe(pushed?.digest);
    expect(line.breaks()).toBeGreaterThanOrEqual(4);
  } finally {
    await registry.close();
  }
});

async function bytesBelow(folder: string): Promise<number> {
  const entries = await readdir(folder, { recursive: true, withFileTypes: true });
  const files = entries.filter((entry) => entry.isFile());
  const sizes = await Promise.all(files.map(async (entry) => (await stat(join(entry.parentPath, entry.name))).size));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function expectNoDownloads(): Promise<void> {
  expect(await readdir(join(dataDir, "images", ".pulls"))).toEqual([]);
}
