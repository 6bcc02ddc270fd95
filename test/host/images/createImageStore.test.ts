import { execFileSync } from "node:child_process";
import { existsSync, readdirSync } from "node:fs";
import { appendFile, mkdir, mkdtemp, readdir, readFile, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import zlib from "node:zlib";
import { afterAll, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { createImageStore, type ImageStore, parseImageReference } from "../../../provider/host/images";
import { blobPath, digestOf, writeLayout, writeMultiPlatformLayout } from "./testLayout";
import { directory, file, hardLink, sparseTar, symlink, type TestEntry, tarOf } from "./testTar";
import { treeOfDirectory, treeOfSquashfs } from "./testTree";

const isRoot = process.getuid?.() === 0;
const rootOnly = isRoot ? it : it.skip;

let work: string;
let store: ImageStore;
let dataDir: string;
let layout: string;
let count = 0;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "store-"));
});

afterAll(() => rm(work, { recursive: true }));

beforeEach(() => {
  count++;
  dataDir = join(work, `data ${count}`);
  layout = join(work, `layout-${count}`);
  store = createImageStore({ dataDir });
});

const lower: TestEntry[] = [
  directory("etc", { mode: 0o755 }),
  file("etc/passwd", "root:x:0:0::/root:/bin/sh\n"),
  file("etc/old", "hidden"),
  directory("opt", { mode: 0o750, uid: 10, gid: 20 }),
  file("opt/gone", "gone"),
  directory("usr"),
  directory("usr/bin"),
  file("usr/bin/su", "#!", { mode: 0o4755 }),
  file("usr/bin/ping", "cap", { mode: 0o755, xattrs: { "user.note": "näher\0\n=" } }),
  symlink("bin", "usr/bin"),
  { path: "pipe", type: "fifo", mode: 0o600 },
  hardLink("usr/bin/sudo", "usr/bin/su"),
];
const upper: TestEntry[] = [
  file("etc/.wh.old"),
  file("opt/.wh..wh..opq"),
  file("opt/new", "new", { uid: 1000, gid: 1000 }),
  file(`opt/${"ö".repeat(100)}`, "long name"),
  hardLink("etc/su", "usr/bin/su"),
  file("usr/bin/empty", ""),
];

describe("import of an OCI layout", () => {
  it.each(["gzip", "zstd", "none"] as const)("merges its layers into one tree (%s)", async (compression) => {
    await writeLayout(layout, [{ layers: [tarOf(lower), tarOf(upper)], compression }]);
    const image = await store.import(`oci:${layout}`);
    expect(execFileSync("unsquashfs", ["-stat", image.rootfsPath]).toString()).toMatch(/Compression lz4/);
    const tree = await treeOfSquashfs(image.rootfsPath);
    expect(Object.keys(tree).sort()).toEqual(
      [
        ...["", "bin", "etc", "etc/passwd", "etc/su", "opt", "opt/new", `opt/${"ö".repeat(100)}`, "pipe", "usr"],
        ...["usr/bin", "usr/bin/empty", "usr/bin/ping", "usr/bin/su", "usr/bin/sudo"],
      ].sort(),
    );
    expect(tree["etc/passwd"]).toMatch(/^file 644 .*root:x:0:0/);
    expect(tree["opt/new"]).toContain(" new");
    expect(tree.bin).toContain("-> usr/bin");
    expect(Object.values(tree).filter((shape) => shape.startsWith("hardLink to "))).toHaveLength(2);
  });

  rootOnly("gives the tree that umoci unpacks, entry by entry", async () => {
    await writeLayout(layout, [{ layers: [tarOf(lower), tarOf(upper)], tag: "t" }]);
    const bundle = join(work, `bundle-${count}`);
    execFileSync("umoci", ["unpack", "--image", `${layout}:t`, bundle], { stdio: "pipe" });
    const image = await store.import(`oci:${layout}:t`);
    const ours = await treeOfSquashfs(image.rootfsPath);
    const theirs = await treeOfDirectory(join(bundle, "rootfs"));
    // umoci gives a root that no layer names the present umask's mode and time.
    expect({ ...ours, "": "" }).toEqual({ ...theirs, "": "" });
    expect(ours["usr/bin/su"] ?? ours["etc/su"]).toBeDefined();
    expect(ours["opt/new"]).toMatch(/^file 644 1000:1000/);
    expect(ours["usr/bin/ping"]).toContain("user.note=");
  });

  it("keeps owners, modes, times and the root's own", async () => {
    const layer = [
      directory("./", { mode: 0o711, uid: 7, gid: 8 }),
      file("./x", "x", { uid: 7, gid: 8, mode: 0o2755 }),
    ];
    await writeLayout(layout, [{ layers: [tarOf(layer)] }]);
    const { rootfsPath } = await store.import(`oci:${layout}`);
    const env = { ...process.env, TZ: "UTC" };
    const listed = execFileSync("unsquashfs", ["-lln", rootfsPath], { env }).toString();
    expect(listed).toMatch(/^drwx--x--x 7\/8 .* 2023-11-14 .* squashfs-root$/m);
    expect(listed).toMatch(/^-rwxr-sr-x 7\/8 .* 1 2023-11-14 .* squashfs-root\/x$/m);
  });

  it("takes over what the image says of its process", async () => {
    await writeLayout(layout, [
      {
        layers: [tarOf([file("x")])],
        config: {
          Env: ["PATH=/bin", "A=b=c", "NONE"],
          Entrypoint: ["/init"],
          Cmd: ["run", "it"],
          WorkingDir: "/app",
          User: "app:staff",
          StopSignal: "SIGINT",
          Labels: { a: "b" },
          ExposedPorts: { "8080/tcp": {}, "53/udp": {}, "443": {} },
        },
      },
    ]);
    expect((await store.import(`oci:${layout}`)).config).toEqual({
      env: { PATH: "/bin", A: "b=c" },
      entrypoint: ["/init"],
      cmd: ["run", "it"],
      workingDir: "/app",
      user: "app:staff",
      stopSignal: "SIGINT",
      labels: { a: "b" },
      exposedPorts: [443, 8080],
    });
  });

  it("finds tags, and tells which there are", async () => {
    const [one, two] = await writeLayout(layout, [
      { layers: [tarOf([file("one")])], tag: "one" },
      { layers: [tarOf([file("two")])], tag: "v:2" },
    ]);
    expect((await store.import(`oci:${layout}:one`)).digest).toBe(one?.digest);
    expect(await store.resolve(`oci:${layout}:v:2`)).toBe(two?.digest);
    await expect(store.import(`oci:${layout}`)).rejects.toMatchObject({
      code: "Invalid",
      hint: expect.stringMatching(/one, v:2/),
    });
    await expect(store.import(`oci:${layout}:three`)).rejects.toMatchObject({ code: "ImageNotFound" });
  });

  it("chooses the guest's platform and is known by that image's digest, not the index's", async () => {
    const images = [{ layers: [tarOf([file("arm")])], architecture: "arm64" }, { layers: [tarOf([file("amd")])] }];
    const index = await writeMultiPlatformLayout(layout, images, "t");
    const image = await store.import(`oci:${layout}:t`);
    expect(Object.keys(await treeOfSquashfs(image.rootfsPath))).toEqual(["", "amd"]);
    expect(image.digest).not.toBe(index.digest);
    expect(await store.resolve(`oci:${layout}:t`)).toBe(image.digest);
  });

  it("tells which platforms there are where the guest's is missing", async () => {
    await writeMultiPlatformLayout(layout, [{ layers: [tarOf([file("x")])], architecture: "arm64" }], "t");
    await expect(store.import(`oci:${layout}:t`)).rejects.toMatchObject({
      code: "ImageNotFound",
      message: expect.stringMatching(/linux\/amd64, only for linux\/arm64/),
    });
    await writeLayout(`${layout}-single`, [{ layers: [tarOf([file("x")])], architecture: "arm64" }]);
    await expect(store.import(`oci:${layout}-single`)).rejects.toMatchObject({ code: "ImageInvalid" });
  });
});

describe("import of a root file system tar", () => {
  const entries = [directory("./"), directory("./bin"), file("./bin/sh", "sh"), file("./.wh.plain", "kept")];

  it.each([
    ["tar", (tar: Buffer) => tar],
    ["tar.gz", (tar: Buffer) => zlib.gzipSync(tar)],
    ["tar.zst", (tar: Buffer) => zlib.zstdCompressSync(tar)],
  ])("packs a %s; names like whiteouts are just names there", async (extension, pack) => {
    const path = join(work, `rootfs.${extension}`);
    const bytes = pack(tarOf(entries));
    await writeFile(path, bytes);
    const image = await store.import(`rootfs:${path}`);
    expect(Object.keys(await treeOfSquashfs(image.rootfsPath))).toEqual(["", ".wh.plain", "bin", "bin/sh"]);
    expect(image.digest).toBe(digestOf(bytes));
    expect(image.config).toMatchObject({ entrypoint: [], cmd: [], workingDir: "/" });
    expect(await store.resolve(`rootfs:${path}`)).toBe(image.digest);
  });

  it("gives the same squashfs for the same tar, however compressed", async () => {
    await writeFile(join(work, "same.tar"), tarOf(entries));
    await writeFile(join(work, "same.tar.gz"), zlib.gzipSync(tarOf(entries)));
    const [plain, packed] = [
      await store.import(`rootfs:${work}/same.tar`),
      await store.import(`rootfs:${work}/same.tar.gz`),
    ];
    expect(packed.rootfsDigest).toBe(plain.rootfsDigest);
    expect(digestOf(await readFile(plain.rootfsPath))).toBe(plain.rootfsDigest);
  });

  it.each([
    ["is missing", async () => undefined, "ImageNotFound", /does not exist/],
    ["is a directory", (path: string) => mkdir(path), "ImageInvalid", /not a regular file/],
    ["is empty", (path: string) => writeFile(path, tarOf([])), "ImageInvalid", /holds no files/],
    ["is no tar", (path: string) => writeFile(path, "hello".repeat(500)), "ImageInvalid", /no tar/],
    [
      "is an archive of images",
      (path: string) => writeFile(path, tarOf([file("manifest.json")])),
      "ImageInvalid",
      /image archive/,
    ],
  ])("tells when it %s", async (_, make, code, message) => {
    const path = join(work, `bad-${count}.tar`);
    await make(path);
    await expect(store.import(`rootfs:${path}`)).rejects.toMatchObject({
      code,
      message: expect.stringMatching(message),
    });
  });
});

describe("import of a docker archive", () => {
  it("reads what skopeo writes", async () => {
    await writeLayout(layout, [{ layers: [tarOf(lower), tarOf(upper)], config: { Cmd: ["x"] } }]);
    const archive = join(work, `docker:archive ${count}.tar`);
    execFileSync("skopeo", ["copy", `oci:${layout}`, "docker-archive:out.tar:example.org/a/b:v1"], {
      cwd: work,
      stdio: "pipe",
    });
    execFileSync("mv", [join(work, "out.tar"), archive]);
    const image = await store.import(`docker-archive:${archive}:example.org/a/b:v1`);
    expect(image.config.cmd).toEqual(["x"]);
    const direct = await store.import(`oci:${layout}`);
    expect(image.rootfsDigest).toBe(direct.rootfsDigest);
    expect(await store.resolve(`docker-archive:${archive}`)).toBe(image.digest);
    await expect(store.import(`docker-archive:${archive}:none:v1`)).rejects.toMatchObject({ code: "ImageNotFound" });
  });

  it("tells when it is none", async () => {
    await writeFile(join(work, "plain.tar"), tarOf(lower));
    await expect(store.import(`docker-archive:${work}/plain.tar`)).rejects.toMatchObject({
      code: "ImageInvalid",
      hint: expect.stringContaining("rootfs:"),
    });
  });
});

describe("a hostile or damaged image", () => {
  it.each<[string, TestEntry[], RegExp]>([
    ["an entry above the root", [file("../../outside")], /"\.\.\/\.\.\/outside" holds "\.\."/],
    ["an absolute entry", [file("/outside")], /absolute/],
    ["a hard link out of the image", [hardLink("x", "../../../etc/passwd")], /holds "\.\."/],
    ["a hard link to nothing", [hardLink("x", "etc/shadow")], /do not hold/],
    ["a whiteout of its parent", [file("a/.wh...")], /names no file/],
    ["an impossible owner", [file("x", "x", { uid: 2 ** 33 })], /impossible id/],
  ])("with %s is refused by layer and name", async (_, entries, message) => {
    await writeLayout(layout, [{ layers: [tarOf([file("fine")]), tarOf(entries)] }]);
    const error = await store.import(`oci:${layout}`).catch((caught) => caught);
    expect(error).toMatchObject({ code: "ImageInvalid", message: expect.stringMatching(message) });
    await expectNothingLeft();
  });

  it("with links out of the image writes behind none of them", async () => {
    const target = join(work, "host");
    await mkdir(target);
    const layers = [
      [symlink("a", target), symlink("b", "../../../../../.."), symlink("c", "b")],
      [file("a/x", "evil"), file("c/tmp/y", "evil"), hardLink("z", "a/x")],
    ];
    await writeLayout(layout, [{ layers: layers.map(tarOf) }]);
    const image = await store.import(`oci:${layout}`);
    expect(await readdir(target)).toEqual([]);
    expect(existsSync("/tmp/y")).toBe(false);
    const inside = execFileSync("unsquashfs", ["-lls", image.rootfsPath]).toString();
    expect(inside).toContain(`squashfs-root${target}/x\n`);
    expect(inside).toContain("squashfs-root/tmp/y\n");
  });

  const spoilt: [string, (blob: string) => Promise<void>, RegExp][] = [
    ["has a byte too many", (blob) => appendFile(blob, "x"), /digest is sha256|cannot be read/],
    ["is cut off", (blob) => truncate(blob, 100), /cannot be read: unexpected end/],
    ["is another one", (blob) => writeFile(blob, zlib.gzipSync(tarOf([file("other")]))), /its digest is sha256:/],
    ["is missing", (blob) => rm(blob), /its file is missing/],
  ];
  it.each(spoilt)("is refused when a layer's blob %s", async (_, spoil, message) => {
    await writeLayout(layout, [{ layers: [tarOf([file("x", Buffer.alloc(5000, 7).toString("hex"))])] }]);
    const manifest = JSON.parse(await readFile(blobPath(layout, await resolved()), "utf8"));
    await spoil(blobPath(layout, manifest.layers[0].digest));
    await expect(store.import(`oci:${layout}`)).rejects.toMatchObject({
      code: "ImageInvalid",
      message: expect.stringMatching(message),
    });
    await expectNothingLeft();
  });

  it("is refused when a layer unpacks to something else than its configuration says", async () => {
    await writeLayout(layout, [{ layers: [tarOf([file("x")])] }]);
    const manifestPath = blobPath(layout, await resolved());
    const manifest = JSON.parse(await readFile(manifestPath, "utf8"));
    const other = zlib.gzipSync(tarOf([file("y")]));
    manifest.layers[0] = { ...manifest.layers[0], digest: digestOf(other), size: other.length };
    await writeFile(blobPath(layout, digestOf(other)), other);
    const bytes = Buffer.from(JSON.stringify(manifest));
    await writeFile(blobPath(layout, digestOf(bytes)), bytes);
    const index = {
      schemaVersion: 2,
      manifests: [{ mediaType: manifest.mediaType, digest: digestOf(bytes), size: bytes.length }],
    };
    await writeFile(join(layout, "index.json"), JSON.stringify(index));
    await expect(store.import(`oci:${layout}`)).rejects.toMatchObject({ message: expect.stringMatching(/diff_id/) });
  });

  it("is refused when its digests are paths", async () => {
    await writeLayout(layout, [{ layers: [tarOf([file("x")])] }]);
    const index = { schemaVersion: 2, manifests: [{ mediaType: "", digest: "sha256:../../../etc/passwd", size: 1 }] };
    await writeFile(join(layout, "index.json"), JSON.stringify(index));
    await expect(store.import(`oci:${layout}`)).rejects.toMatchObject({
      code: "ImageInvalid",
      message: expect.stringMatching(/64 hex digits/),
    });
  });

  it("that unpacks to more than allowed ends early: zeros, holes and countless entries", async () => {
    const small = createImageStore({ dataDir, limits: { totalBytes: 10_000_000, entries: 1000 } });
    const bombs = {
      zeros: tarOf([file("zeros", Buffer.alloc(20_000_000))]),
      entries: tarOf(Array.from({ length: 1001 }, (_, index) => file(`f${index}`, ""))),
      holes: sparseTar(100 * 1024 ** 3),
    };
    for (const [name, tar] of Object.entries(bombs)) {
      await writeFile(join(work, `${name}.tar.gz`), zlib.gzipSync(tar));
      const refused = small.import(`rootfs:${work}/${name}.tar.gz`);
      await expect(refused).rejects.toMatchObject({ code: "ImageInvalid", message: expect.stringMatching(/allowed/) });
    }
    await expectNothingLeft();
  });

  async function resolved(): Promise<string> {
    return (await store.resolve(`oci:${layout}`)) as string;
  }
});

describe("the store", () => {
  it("imports a digest once, and finds, lists and removes it", async () => {
    await writeLayout(layout, [{ layers: [tarOf([file("x")])] }]);
    const progress: string[] = [];
    const image = await store.import(`oci:${layout}`, { onProgress: (message) => progress.push(message) });
    expect(progress).toContain("writing the file system");
    const again = createImageStore({ dataDir });
    progress.length = 0;
    expect(await again.import(`oci:${layout}`, { onProgress: (message) => progress.push(message) })).toEqual(image);
    expect(progress).not.toContain("writing the file system");
    expect(await again.get(image.digest)).toEqual(image);
    expect(await again.list()).toEqual([image]);
    await again.remove(image.digest);
    await again.remove(image.digest);
    expect(await again.get(image.digest)).toBeUndefined();
    expect(await again.list()).toEqual([]);
    await expectNothingLeft();
  });

  it("lets callers who ask at once share one import", async () => {
    await writeLayout(layout, [{ layers: [tarOf([file("x")])] }]);
    await writeLayout(`${layout}-copy`, [{ layers: [tarOf([file("x")])] }]);
    let packed = 0;
    const onProgress = (message: string) => {
      if (message === "writing the file system") packed++;
    };
    const references = [`oci:${layout}`, `oci:${layout}`, `oci:${layout}-copy`];
    const images = await Promise.all(
      references.map((reference, index) => store.import(reference, index === 1 ? {} : { onProgress })),
    );
    expect(new Set(images.map(({ digest }) => digest)).size).toBe(1);
    expect(images.map(({ reference }) => reference)).toEqual(references);
    expect(packed).toBe(2);
    expect(await readdir(join(dataDir, "images"))).toHaveLength(2);
  });

  it("reads two images at once, and the others in their turn", async () => {
    const others: number[] = [];
    const onProgress = (message: string) => {
      if (!message.startsWith("reading")) return;
      const done = readdirSync(join(dataDir, "images")).filter((name) => !name.startsWith("."));
      others.push(others.length - done.length);
    };
    const imports = [1, 2, 3, 4, 5].map(async (number) => {
      const path = join(work, `turn-${number}.tar`);
      await writeFile(path, tarOf([file(`file-${number}`)]));
      return store.import(`rootfs:${path}`, { onProgress });
    });
    await Promise.all(imports);
    expect(others).toHaveLength(5);
    expect(Math.max(...others)).toBe(1);
  });

  it("sees that a tag has moved", async () => {
    await writeLayout(layout, [{ layers: [tarOf([file("x")])], tag: "t" }]);
    const image = await store.import(`oci:${layout}:t`);
    expect(await store.resolve(`oci:${layout}:t`)).toBe(image.digest);
    await writeLayout(layout, [{ layers: [tarOf([file("y")])], tag: "t" }]);
    expect(await store.resolve(`oci:${layout}:t`)).not.toBe(image.digest);
  });

  it("removes what a crash left as soon as it is opened, also when nothing is imported", async () => {
    const importing = join(dataDir, "images", ".importing");
    await mkdir(join(importing, "half"), { recursive: true });
    createImageStore({ dataDir });
    await expect.poll(() => readdir(importing).catch(() => [])).toEqual([]);
  });

  it("removes what a crash left, and makes a damaged image anew", async () => {
    await writeLayout(layout, [{ layers: [tarOf([file("x")])] }]);
    const image = await store.import(`oci:${layout}`);
    await mkdir(join(dataDir, "images", ".importing", "half"), { recursive: true });
    await writeFile(join(dataDir, "images", ".importing", "half", "rootfs.sqfs"), "half");
    execFileSync("chmod", ["600", image.rootfsPath]);
    await truncate(image.rootfsPath, 10);
    const restarted = createImageStore({ dataDir });
    expect(await restarted.get(image.digest)).toBeUndefined();
    const anew = await restarted.import(`oci:${layout}`);
    expect(anew.rootfsDigest).toBe(image.rootfsDigest);
    expect(digestOf(await readFile(anew.rootfsPath))).toBe(image.rootfsDigest);
    await expectNothingLeft();
  });

  it("ends an import and its programs when nobody waits any more", async () => {
    await writeFile(join(work, "large.tar"), tarOf([file("noise", Buffer.alloc(80_000_000, "noise"))]));
    const [first, second] = [new AbortController(), new AbortController()];
    const started = Promise.withResolvers<void>();
    const onProgress = (message: string) => message === "writing the file system" && started.resolve();
    const options = { onProgress: (message: string) => void onProgress(message) };
    const one = store.import(`rootfs:${work}/large.tar`, { ...options, signal: first.signal });
    const two = store.import(`rootfs:${work}/large.tar`, { signal: second.signal });
    await started.promise;
    first.abort();
    await expect(one).rejects.toThrow(/abort/);
    second.abort();
    await expect(two).rejects.toThrow(/abort/);
    await expect.poll(() => readdir(join(dataDir, "images", ".importing"))).toEqual([]);
    expect(await store.list()).toEqual([]);
  });

  it("ends everything when the host ends", async () => {
    await writeFile(join(work, "large.tar"), tarOf([file("noise", Buffer.alloc(80_000_000, "noise"))]));
    const host = new AbortController();
    const stopping = createImageStore({ dataDir, signal: host.signal });
    const onProgress = (message: string) => message === "writing the file system" && host.abort();
    const running = stopping.import(`rootfs:${work}/large.tar`, { onProgress: (message) => void onProgress(message) });
    await expect(running).rejects.toThrow(/abort/);
    await expect(stopping.import(`rootfs:${work}/large.tar`)).rejects.toThrow(/abort/);
    await expect.poll(() => readdir(join(dataDir, "images", ".importing"))).toEqual([]);
  });

  it("knows its catalogue", () => {
    expect(store.catalogue().map(({ name }) => name)).toEqual(expect.arrayContaining(["debian", "python", "ubuntu"]));
    expect(parseImageReference("python").kind).toBe("catalogue");
  });
});

async function expectNothingLeft(): Promise<void> {
  expect(await readdir(join(dataDir, "images"))).toSatisfy((names: string[]) =>
    names.every((name) => name === ".importing" || /^[0-9a-f]{64}$/.test(name)),
  );
  expect(await readdir(join(dataDir, "images", ".importing"))).toEqual([]);
}
