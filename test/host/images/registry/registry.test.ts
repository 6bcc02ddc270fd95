import { execFileSync, spawnSync } from "node:child_process";
import { mkdtemp, readdir, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createImageStore, type ImageStore } from "../../../../provider/host/images";
import { type Blob, digestOf, writeLayout, writeMultiPlatformLayout } from "../testLayout";
import { startRegistry, type TestRegistry } from "../testRegistry";
import { file, tarOf } from "../testTar";
import { treeOfSquashfs } from "../testTree";
import { closeScriptedRegistries, startScriptedRegistry } from "./scriptedRegistry";

// bcrypt of "secret".
const htpasswd = "user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";
const credentials = { username: "user", password: "secret" };

const layerBytes = 50_000;

let work: string;
let open: TestRegistry;
let closed: TestRegistry;
let store: ImageStore;
let dataDir: string;
let count = 0;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "images-"));
  [open, closed] = await Promise.all([startRegistry(), startRegistry(htpasswd)]);
});

afterAll(async () => {
  await Promise.all([open?.close(), closed?.close()]);
  await rm(work, { recursive: true });
});

afterEach(closeScriptedRegistries);

beforeEach(() => {
  dataDir = join(work, `data-${++count}`);
  store = createImageStore({ dataDir });
});

describe("import from a registry", () => {
  it("brings an image, known by its manifest's digest, once", async () => {
    const pushed = await push(open, "some/app:1.0", "v1");
    const image = await store.import(`${open.host}/some/app:1.0`);
    expect(image.digest).toBe(pushed.digest);
    expect(image.reference).toBe(`${open.host}/some/app:1.0`);
    expect((await treeOfSquashfs(image.rootfsPath)).v1).toMatch(/ v1$/);
    const steps: string[] = [];
    const pinned = `${open.host}/some/app@${pushed.digest}`;
    const again = await store.import(pinned, { onProgress: (message) => steps.push(message) });
    expect(again).toEqual({ ...image, reference: pinned });
    expect(steps).toEqual([`resolving ${pinned}`]);
    expect(await readdir(join(dataDir, "images", ".importing"))).toEqual([]);
  });

  it("sees a moved tag, and imports what it points to now", async () => {
    await push(open, "moving:latest", "before");
    const before = await store.import(`${open.host}/moving`);
    expect(await store.resolve(`${open.host}/moving`)).toBe(before.digest);
    const moved = await push(open, "moving:latest", "after");
    expect(await store.resolve(`${open.host}/moving`)).toBe(moved.digest);
    const after = await store.import(`${open.host}/moving`);
    expect(await treeOfSquashfs(after.rootfsPath)).toHaveProperty("after");
    expect(await store.get(before.digest)).toBeDefined();
  });

  it("chooses the guest's platform of an index, by tag and by the index's digest", async () => {
    const layout = join(work, `layout-${count}`);
    const images = [{ layers: [tarOf([file("arm")])], architecture: "arm64" }, { layers: [tarOf([file("amd")])] }];
    const index = await writeMultiPlatformLayout(layout, images, "t");
    copy(["--all", `oci:${layout}:t`, `docker://${open.host}/multi:1`]);
    const image = await store.import(`${open.host}/multi:1`);
    expect(Object.keys(await treeOfSquashfs(image.rootfsPath))).toEqual(["", "amd"]);
    expect(await store.resolve(`${open.host}/multi@${index.digest}`)).toBe(image.digest);
  });

  it("reads Docker's own formats", async () => {
    const layout = join(work, `layout-${count}`);
    await writeLayout(layout, [{ layers: [tarOf([file("docker")])] }]);
    copy(["--format=v2s2", `oci:${layout}`, `docker://${open.host}/docker:1`]);
    const image = await store.import(`${open.host}/docker:1`);
    expect(await treeOfSquashfs(image.rootfsPath)).toHaveProperty("docker");
    expect(await store.resolve(`${open.host}/docker:1`)).toBe(image.digest);
  });

  it("uses given credentials and leaves no trace of them", async () => {
    const pushed = await push(closed, "private:1", "secret stuff", credentials);
    const image = await store.import(`${closed.host}/private:1`, { credentials });
    expect(image.digest).toBe(pushed.digest);
    const left = spawnSync("grep", ["-rlE", "secret|dXNlcjpzZWNyZXQ", "--include=*.json", dataDir]).stdout;
    expect(left.toString()).toBe("");
  });

  it.each([
    ["none", undefined],
    ["wrong ones", { username: "user", password: "hunter2" }],
  ])("refused for %s as credentials says so, without them", async (_, wrong) => {
    await push(closed, "private:2", "x", credentials);
    const error = await store.import(`${closed.host}/private:2`, { credentials: wrong }).catch((caught) => caught);
    expect(error).toMatchObject({ code: "RegistryFailed", hint: expect.stringMatching(/credentials/) });
    expect(error.message).toContain(`${closed.host}/private:2`);
    expect(String(error)).not.toMatch(/hunter2|aHVudGVyMg/);
  });

  it("does not give one caller's image to another who asks at the same time without rights", async () => {
    await push(closed, "private:3", "x", credentials);
    const [entitled, other] = await Promise.allSettled([
      store.import(`${closed.host}/private:3`, { credentials }),
      store.import(`${closed.host}/private:3`),
    ]);
    expect([entitled.status, other.status]).toEqual(["fulfilled", "rejected"]);
  });

  it.each(["some/app:none", "none:1", `some/app@sha256:${"0".repeat(64)}`])("knows nothing of %s", async (name) => {
    await push(open, "some/app:1.0", "v1");
    await expect(store.import(`${open.host}/${name}`)).rejects.toMatchObject({
      code: "ImageNotFound",
      message: expect.stringContaining(`${open.host}/${name}`),
    });
  });

  it("tells an unreachable registry from a missing image", async () => {
    const gone = await startRegistry();
    await gone.close();
    await expect(store.resolve(`${gone.host}/x:1`)).rejects.toMatchObject({
      code: "RegistryFailed",
      message: expect.stringMatching(/cannot be reached: .*connection refused/),
    });
    await expect(store.resolve("registry.invalid/x:1")).rejects.toMatchObject({
      code: "RegistryFailed",
      message: expect.stringMatching(/name cannot be resolved/),
    });
  });
});

describe("a registry that misbehaves", () => {
  it("by sending other bytes is found out at once", async () => {
    const registry = await startScriptedRegistry(layerBytes, (layer, { response }) =>
      response.end(Buffer.alloc(layer.length, 1)),
    );
    await expect(store.import(registry.reference)).rejects.toMatchObject({
      code: "RegistryFailed",
      message: expect.stringMatching(/something else than it announced/),
    });
    expect(registry.layerRequests).toHaveLength(1);
    await expectNothingLeft();
  });

  it("by sending more than it announced is found out", async () => {
    const registry = await startScriptedRegistry(layerBytes, (layer, { response }) => {
      response.removeHeader("content-length");
      response.end(Buffer.concat([layer, Buffer.from("x")]));
    });
    await expect(store.import(registry.reference)).rejects.toMatchObject({
      code: "RegistryFailed",
      message: expect.stringMatching(/longer than it announced/),
    });
  });

  it("by never answering is given up after a while", async () => {
    const registry = await startScriptedRegistry(
      layerBytes,
      () => undefined,
      () => "silence",
    );
    const impatient = createImageStore({ dataDir, limits: { resolveMs: 1500 } });
    await expect(impatient.import(registry.reference)).rejects.toMatchObject({
      code: "RegistryFailed",
      message: expect.stringMatching(/did not answer within 1.5 s/),
    });
  });

  it("by sending endless manifests is given up", async () => {
    const registry = await startScriptedRegistry(
      layerBytes,
      () => undefined,
      (_, response) => {
        response.setHeader("content-type", "application/vnd.oci.image.manifest.v1+json");
        response.end(Buffer.alloc(5 * 1024 * 1024, " "));
        return "answered";
      },
    );
    await expect(store.import(registry.reference)).rejects.toMatchObject({
      code: "RegistryFailed",
      message: expect.stringMatching(/more than 4194304 bytes/),
    });
  });

  it("by redirecting to a place that is not safe, or for ever, is given up", async () => {
    for (const location of ["file:///etc/passwd", "http://192.0.2.1/blob", "/v2/around"]) {
      const registry = await startScriptedRegistry(
        layerBytes,
        () => undefined,
        (request, response) => {
          if (request.url === "/v2/") return undefined;
          response.writeHead(307, { location }).end();
          return "answered";
        },
      );
      await expect(store.import(registry.reference)).rejects.toMatchObject({ code: "RegistryFailed" });
    }
  });
});

async function expectNothingLeft(): Promise<void> {
  expect(await readdir(join(dataDir, "images", ".importing"))).toEqual([]);
  expect(await readdir(join(dataDir, "images", ".pulls")).catch(() => [])).toEqual([]);
}

/** Puts an image of one file into the registry. */
async function push(registry: TestRegistry, name: string, content: string, login?: typeof credentials): Promise<Blob> {
  const layout = join(work, `push-${digestOf(Buffer.from(name + content)).slice(7, 20)}`);
  const [image] = await writeLayout(layout, [{ layers: [tarOf([file(content)])] }]);
  copy([`oci:${layout}`, `docker://${registry.host}/${name}`], login);
  return image as Blob;
}

function copy(args: string[], login?: typeof credentials): void {
  const options = login ? ["--dest-creds", `${login.username}:${login.password}`] : [];
  execFileSync("skopeo", ["copy", "--quiet", "--dest-tls-verify=false", ...options, ...args], { stdio: "pipe" });
}
