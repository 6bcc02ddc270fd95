import { execFileSync, spawnSync } from "node:child_process";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { createServer, type RequestListener, type Server } from "node:http";
import type { AddressInfo } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createImageStore, type ImageStore } from "../../../provider/host/images";
import { type Blob, blobPath, digestOf, writeLayout, writeMultiPlatformLayout } from "./testLayout";
import { startRegistry, type TestRegistry } from "./testRegistry";
import { file, tarOf } from "./testTar";
import { treeOfSquashfs } from "./testTree";

// bcrypt of "secret".
const htpasswd = "user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";
const credentials = { username: "user", password: "secret" };

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
  let server: Server | undefined;

  afterAll(() => server?.close());

  async function serve(listener: RequestListener): Promise<string> {
    server?.closeAllConnections();
    server?.close();
    const started = createServer(listener);
    server = started;
    await new Promise<void>((resolve) => started.listen(0, "127.0.0.1", resolve));
    return `127.0.0.1:${(started.address() as AddressInfo).port}`;
  }

  /** A registry of one image; `send` answers for its layer. */
  async function serveImage(send: (layer: Buffer, response: Parameters<RequestListener>[1]) => void): Promise<string> {
    const layout = join(work, `layout-${count}`);
    const [image] = await writeLayout(layout, [
      { layers: [tarOf([file("x", Buffer.alloc(50_000, "noise"))])], compression: "none" },
    ]);
    const manifest = await readFile(blobPath(layout, image?.digest ?? ""));
    const layer = JSON.parse(manifest.toString()).layers[0].digest;
    return serve(async (request, response) => {
      if (request.url === "/v2/") return void response.end("{}");
      if (request.url?.includes("/manifests/")) {
        response.setHeader("content-type", "application/vnd.oci.image.manifest.v1+json");
        return void response.end(manifest);
      }
      const digest = request.url?.split("/").at(-1) ?? "";
      const bytes = await readFile(blobPath(layout, digest));
      response.setHeader("content-length", bytes.length);
      if (digest === layer) send(bytes, response);
      else response.end(bytes);
    });
  }

  it("by stopping half-way is given up with an error", async () => {
    const host = await serveImage((layer, response) => {
      response.write(layer.subarray(0, 10_000), () => response.destroy());
    });
    await expect(store.import(`${host}/half:1`)).rejects.toMatchObject({ code: "RegistryFailed" });
    expect(await store.list()).toEqual([]);
  });

  it("by sending other bytes is found out", async () => {
    const host = await serveImage((layer, response) => response.end(Buffer.alloc(layer.length, 1)));
    await expect(store.import(`${host}/other:1`)).rejects.toMatchObject({
      code: expect.stringMatching(/RegistryFailed|ImageInvalid/),
      message: expect.stringMatching(/digest|something else/),
    });
  });

  it("by sending no more is given up after a while", async () => {
    const host = await serveImage((layer, response) => void response.write(layer.subarray(0, 10_000)));
    const impatient = createImageStore({ dataDir, limits: { stallMs: 1500 } });
    await expect(impatient.import(`${host}/stalled:1`)).rejects.toMatchObject({
      code: "RegistryFailed",
      message: expect.stringMatching(/nothing more came/),
    });
  });

  it("by never answering is given up after a while", async () => {
    const host = await serve(() => undefined);
    const impatient = createImageStore({ dataDir, limits: { resolveMs: 1500 } });
    await expect(impatient.import(`${host}/silent:1`)).rejects.toMatchObject({
      code: "RegistryFailed",
      message: expect.stringMatching(/did not answer within 1.5 s/),
    });
  });

  it("by sending endless manifests is given up", async () => {
    const host = await serve((request, response) => {
      if (request.url === "/v2/") return void response.end("{}");
      response.setHeader("content-type", "application/vnd.oci.image.manifest.v1+json");
      response.end(Buffer.alloc(5 * 1024 * 1024, " "));
    });
    await expect(store.import(`${host}/large:1`)).rejects.toMatchObject({ code: "RegistryFailed" });
  });
});

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
