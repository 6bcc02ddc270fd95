import { execFileSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { createImageStore, type ImageStore } from "../../../provider/host/images";
import { SeededRandom } from "../crash/seededRandom";
import { scanInodes } from "./inodeScan";
import { type Compression, writeLayout } from "./testLayout";
import { startRegistry, type TestRegistry } from "./testRegistry";
import { directory, file, hardLink, sparseTar, symlink, type TestEntry, tarOf } from "./testTar";
import { type Tree, treeOfDirectory, treeOfSquashfs } from "./testTree";

// bcrypt of "secret".
const htpasswd = "user:$2y$05$abcdefghijklmnopqrstuuOQiyCxlgf/oeuTqixKmWdcYUh4Hjl0a\n";
const credentials = { username: "user", password: "secret" };

let work: string;
let open: TestRegistry;
let closed: TestRegistry;
let store: ImageStore;
let before: Map<string, string>;
let count = 0;

/** Whole trees, and the names in directories where others may be at work. */
const scan = () => {
  const found = scanInodes(["/etc", "/usr/bin", "/usr/sbin", join(work, "host")]);
  for (const place of ["/", process.cwd()]) for (const name of readdirSync(place)) found.set(join(place, name), "");
  return found;
};

beforeAll(async () => {
  work = mkdtempSync(join(tmpdir(), "hostile-"));
  mkdirSync(join(work, "host"));
  writeFileSync(join(work, "host", "file"), "the host's own");
  [open, closed] = await Promise.all([startRegistry(), startRegistry(htpasswd)]);
  store = createImageStore({ dataDir: join(work, "data") });
  before = scan();
});

afterAll(async () => {
  await Promise.all([open?.close(), closed?.close()]);
  rmSync(work, { recursive: true });
});

/** Puts an image into a registry, the open one and the other in turn, and imports it from there. */
async function throughRegistry(layers: Buffer[], compression: Compression = "gzip"): Promise<Tree> {
  const name = `image-${++count}`;
  const layout = join(work, name);
  await writeLayout(layout, [{ layers, compression, tag: "t" }]);
  const isOpen = count % 2 === 0;
  const registry = isOpen ? open : closed;
  const login = isOpen ? [] : ["--dest-creds", "user:secret"];
  const target = `${registry.host}/${name}:1`;
  execFileSync("skopeo", ["copy", "-q", "--dest-tls-verify=false", ...login, `oci:${layout}:t`, `docker://${target}`], {
    stdio: "pipe",
  });
  const { rootfsPath } = await store.import(target, isOpen ? {} : { credentials });
  return treeOfSquashfs(rootfsPath);
}

/** What umoci makes of the same layers; undefined where it gives up. */
async function byUmoci(layers: Buffer[]): Promise<Tree | undefined> {
  const layout = join(work, `umoci-${++count}`);
  await writeLayout(layout, [{ layers, tag: "t" }]);
  try {
    execFileSync("umoci", ["unpack", "--image", `${layout}:t`, `${layout}-bundle`], { stdio: "pipe" });
    return await treeOfDirectory(join(`${layout}-bundle`, "rootfs"));
  } catch {
    return undefined;
  } finally {
    rmSync(layout, { recursive: true });
    rmSync(`${layout}-bundle`, { recursive: true, force: true });
  }
}

/** umoci gives a root that no layer names the present umask's mode and time. */
function withoutRoot({ "": _, ...rest }: Tree): Tree {
  return rest;
}

const lower = [
  directory("d", { mode: 0o755 }),
  ...[file("d/a"), file("d/b"), directory("d/sub"), file("d/sub/c"), directory("d/sub/deep"), file("d/sub/deep/e")],
  ...[directory("other"), file("other/x"), symlink("to-d", "d"), file("plain")],
];

describe("an image from a registry has the tree that umoci unpacks", () => {
  const cases: [string, TestEntry[][]][] = [
    [
      "whiteouts of files, directories, links and nothing",
      [lower, ["d/.wh.a", ".wh.to-d", ".wh.none", "d/.wh.sub"].map((path) => file(path, ""))],
    ],
    ["a whiteout before what its layer brings", [lower, [directory("d"), file("d/.wh.a", ""), file("d/a", "new")]]],
    ["a whiteout after what its layer brings", [lower, [directory("d"), file("d/a", "new"), file("d/.wh.a", "")]]],
    [
      "an opaque directory, said first",
      [lower, [directory("d"), file("d/.wh..wh..opq", ""), file("d/n"), directory("d/sub"), file("d/sub/n")]],
    ],
    [
      "an opaque directory, said last",
      [lower, [directory("d"), file("d/n"), directory("d/sub"), file("d/sub/n"), file("d/.wh..wh..opq", "")]],
    ],
    [
      "whiteouts in one layer and things again in the next",
      [lower, [file(".wh.d", "")], [directory("d"), file("d/a", "again")]],
    ],
    [
      "a directory replaced by a file, a link and a pipe",
      [lower, [file("d"), symlink("other", "elsewhere"), { path: "to-d", type: "fifo", mode: 0o600 }]],
    ],
    [
      "a file and a link replaced by directories",
      [lower, [directory("plain"), file("plain/in"), directory("to-d"), file("to-d/in")]],
    ],
    [
      "setuid, setgid, sticky and owners",
      [
        [
          file("su", "x", { mode: 0o6755, uid: 5, gid: 6 }),
          directory("t", { mode: 0o1777 }),
          file("n", "x", { uid: 2 ** 31, gid: 3_000_000 }),
        ],
      ],
    ],
    [
      "hard links in a layer, to a lower one, and to a link",
      [lower, [hardLink("h", "d/a"), file("new"), hardLink("n", "new"), hardLink("l", "to-d")]],
    ],
    [
      "long names, long targets and names of other encodings",
      [
        [
          directory("x".repeat(200)),
          file(`${"x".repeat(200)}/${"ü".repeat(120)}`),
          symlink("l", `/${"y/".repeat(75)}`),
          hardLink("h", `${"x".repeat(200)}/${"ü".repeat(120)}`),
          file("tab\there"),
          file("new\nline"),
          file("quote\"'\\"),
        ],
      ],
    ],
    [
      "attributes with bytes that are no text",
      [
        [
          file("x", "x", { xattrs: { "user.a": "\0=\n\xff", "user.b": "1" } }),
          directory("dir", { xattrs: { "user.d": "2" } }),
        ],
      ],
    ],
    [
      "links that lead out of the image, and writes behind them",
      [[symlink("up", "../../../.."), symlink("away", "/nowhere/at/all")], [file("other", "x")]],
    ],
  ];

  it.each(cases)("%s", async (_, layers) => {
    const tars = layers.map(tarOf);
    const theirs = await byUmoci(tars);
    expect(theirs).toBeDefined();
    expect(withoutRoot(await throughRegistry(tars))).toEqual(withoutRoot(theirs as Tree));
  });

  it.each(["gnu", "pax"] as const)("sparse files of the format %s", async (format) => {
    const tar = sparseTar(3_000_000, format);
    // umoci refuses GNU's own form; tar knows what it wrote.
    const unpacked = join(work, `sparse-${format}`);
    mkdirSync(unpacked);
    execFileSync("tar", ["-x", "-C", unpacked], { input: tar });
    expect(withoutRoot(await throughRegistry([tar]))).toEqual(withoutRoot(await treeOfDirectory(unpacked)));
  });

  it.each(["gzip", "zstd", "none"] as const)("compressed as %s", async (compression) => {
    const tars = [lower, [file(".wh.plain", ""), file(`only-${compression}`)]].map(tarOf);
    expect(withoutRoot(await throughRegistry(tars, compression))).toEqual(withoutRoot((await byUmoci(tars)) as Tree));
  });

  it("except device nodes, which are left out", async () => {
    const layer = [directory("dev"), { path: "dev/sda", type: "blockDevice" }, { path: "tty", type: "charDevice" }];
    expect(Object.keys(await throughRegistry([tarOf(layer as TestEntry[])]))).toEqual(["", "dev"]);
  });

  it("whatever three layers of a few names do to each other", async () => {
    let compared = 0;
    for (let seed = 1; seed <= 40; seed++) {
      const random = new SeededRandom(seed);
      const tars = Array.from({ length: random.between(2, 3) }, (_, number) => tarOf(randomLayer(random, number)));
      const theirs = await byUmoci(tars);
      const layout = join(work, `random-${seed}`);
      await writeLayout(layout, [{ layers: tars }]);
      const ours = await store.import(`oci:${layout}`).catch((error: unknown) => error as Error);
      if (theirs === undefined || Object.keys(theirs).length === 1) continue;
      compared++;
      const tree = ours instanceof Error ? String(ours) : withoutRoot(await treeOfSquashfs(ours.rootfsPath));
      expect({ seed, tree }).toEqual({ seed, tree: withoutRoot(theirs) });
    }
    expect(compared).toBeGreaterThan(25);
  });
});

/** A layer as a builder may write one: directories before what is in them, whiteouts anywhere. */
function randomLayer(random: SeededRandom, number: number): TestEntry[] {
  const layer = new Map<string, TestEntry>();
  const put = (entry: TestEntry) => layer.has(entry.path) || layer.set(entry.path, entry);
  for (let index = random.between(3, 9); index > 0; index--) {
    const parts = Array.from({ length: random.between(1, 3) }, () => random.pick(["a", "b", "c"]) as string);
    const parents = parts.slice(0, -1).map((_, at) => parts.slice(0, at + 1).join("/"));
    // Below what is no directory stands nothing.
    if (parents.some((path) => (layer.get(path)?.type ?? "directory") !== "directory" || layer.get(path)?.data))
      continue;
    for (const path of parents) put(directory(path));
    const path = parts.join("/");
    const folder = parents.length === 0 ? "" : `${parents.at(-1)}/`;
    const kind = random.weighted({ file: 3, directory: 2, link: 2, whiteout: 3, opaque: 1 });
    if (kind === "file") put(file(path, `${number}:${index}`));
    if (kind === "directory") put(directory(path, { mode: random.pick([0o755, 0o700, 0o1777]) }));
    if (kind === "link") put(symlink(path, random.pick(["a", "../a", "/c", "/a/b", "../../..", "/etc"]) as string));
    if (kind === "whiteout") put(file(`${folder}.wh.${parts.at(-1)}`, ""));
    if (kind === "opaque") put(file(`${folder}.wh..wh..opq`, ""));
  }
  return [...layer.values()];
}

describe("an image from a registry is refused with its layer and the reason", () => {
  const host = () => join(work, "host", "file");
  it.each<[string, () => TestEntry[], RegExp]>([
    ["a name that goes up", () => [file("../../../../etc/evil")], /layer 2 .*holds "\.\."/],
    ["a name that goes up in the middle", () => [file("a/../../evil")], /layer 2 .*holds "\.\."/],
    ["an absolute name", () => [file(host())], /layer 2 .*is absolute/],
    ["a hard link that goes up", () => [hardLink("x", `../../../../../../../../${host()}`)], /layer 2 .*holds "\.\."/],
    ["an absolute hard link", () => [hardLink("x", "/etc/shadow")], /layer 2 .*is absolute/],
    ["a hard link through a link to nothing", () => [symlink("s", "/etc"), hardLink("x", "s/shadow")], /do not hold/],
    ["a whiteout that goes up", () => [file("../.wh.etc", "")], /layer 2 .*holds "\.\."/],
    ["a whiteout of a parent", () => [file("a/.wh...", "")], /names no file/],
    ["links in a circle", () => [symlink("a", "b"), symlink("b", "a"), file("a/x")], /too many symbolic links/],
    ["a name too long to be opened", () => [file("x".repeat(256))], /256 bytes; at most 255/],
    ["a path too long to be opened", () => [file(`${"x/".repeat(2050)}y`)], /4101 bytes; at most 4096/],
  ])("%s", async (_, layer, message) => {
    const images = (await store.list()).length;
    const error = await throughRegistry([tarOf(lower), tarOf(layer())]).catch((caught: unknown) => caught);
    expect(error).toMatchObject({ code: "ImageInvalid", message: expect.stringMatching(message) });
    expect(await store.list()).toHaveLength(images);
  });

  it("a layer that ends in the middle of a file", async () => {
    const cut = tarOf([file("x", Buffer.alloc(5000, 1))]).subarray(0, 3000);
    await expect(throughRegistry([cut])).rejects.toMatchObject({ message: expect.stringMatching(/tar stream ends/) });
  });
});

it("writes through links stay in the image", async () => {
  const target = join(work, "host");
  const tree = await throughRegistry(
    [
      [symlink("away", target), symlink("up", "../../../../../../../../etc"), symlink("chain", "up")],
      [file("away/file", "evil"), file("up/evil", "evil"), file("chain/passwd", "evil"), file("away/.wh.file2", "")],
    ].map(tarOf),
  );
  expect(tree[`${target.slice(1)}/file`]).toContain(" evil");
  expect(tree["etc/evil"]).toContain(" evil");
});

it("after all that nothing outside the data directory has changed", () => {
  expect(before.size).toBeGreaterThan(500);
  expect(new Map([...scan()].filter(([path, inode]) => before.get(path) !== inode))).toEqual(new Map());
  expect(scan().size).toBe(before.size);
});
