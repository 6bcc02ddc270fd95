import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { defaultImageLimits, type ImageLimits } from "../../../provider/host/images/imageLimits";
import { ImportBudget } from "../../../provider/host/images/importBudget";
import { indexLayer } from "../../../provider/host/images/layerIndex";
import { type Inode, mergeLayers } from "../../../provider/host/images/mergeLayers";
import { directory, file, hardLink, symlink, type TestEntry, tarOf } from "./testTar";

let work: string;

beforeAll(async () => {
  work = await mkdtemp(join(tmpdir(), "merge-"));
});

afterAll(() => rm(work, { recursive: true }));

describe("mergeLayers", () => {
  it("lays newer files over older ones and keeps what no layer touches", async () => {
    expect(await merged([directory("etc"), file("etc/a"), file("etc/b")], [file("etc/a"), file("new")])).toEqual({
      etc: "directory",
      "etc/a": "file 1",
      "etc/b": "file 0",
      new: "file 1",
    });
  });

  describe("whiteouts", () => {
    const lower = [directory("d"), file("d/a"), file("d/b"), directory("d/sub"), file("d/sub/c")];

    it("hide files and directories of lower layers", async () => {
      expect(await merged(lower, [file("d/.wh.a"), file("d/.wh.sub")])).toEqual({ d: "directory", "d/b": "file 0" });
    });

    it.each([
      ["before", [file("d/.wh.a"), file("d/a")]],
      ["after", [file("d/a"), file("d/.wh.a")]],
    ])("never hide what their own layer brings, standing %s it", async (_, upper) => {
      expect(await merged(lower, upper as TestEntry[])).toMatchObject({ "d/a": "file 1", "d/b": "file 0" });
    });

    it.each([
      ["first", [file("d/.wh..wh..opq"), file("d/new"), directory("d/sub"), file("d/sub/n")]],
      ["last", [file("d/new"), directory("d/sub"), file("d/sub/n"), file("d/.wh..wh..opq")]],
      ["in between", [file("d/new"), file("d/.wh..wh..opq"), directory("d/sub"), file("d/sub/n")]],
    ])("make a directory opaque, standing %s", async (_, upper) => {
      expect(await merged(lower, upper as TestEntry[])).toEqual({
        d: "directory",
        "d/new": "file 1",
        "d/sub": "directory",
        "d/sub/n": "file 1",
      });
    });

    it("replace a directory by an empty one of the same layer", async () => {
      expect(await merged(lower, [directory("d"), file(".wh.d")])).toEqual({ d: "directory" });
    });

    it("hide all of the root", async () => {
      expect(await merged(lower, [file(".wh..wh..opq"), file("x")])).toEqual({ x: "file 1" });
    });

    it("speak of nothing where the lower layers have nothing", async () => {
      expect(await merged(lower, [file(".wh.none"), file("none/.wh.x"), file("none/.wh..wh..opq")])).toEqual(
        await merged(lower),
      );
    });

    it("pass through links of lower layers as unpacking would", async () => {
      const linked = [directory("usr/lib"), file("usr/lib/x"), symlink("lib", "usr/lib")];
      expect(await merged(linked, [file("lib/.wh.x")])).not.toHaveProperty("usr/lib/x");
    });

    it("do not pass through a link that their own layer replaces", async () => {
      const linked = [directory("usr/lib"), file("usr/lib/x"), symlink("lib", "usr/lib")];
      const tree = await merged(linked, [file("lib/.wh.x"), directory("lib"), file("lib/y")]);
      expect(tree).toMatchObject({ lib: "directory", "lib/y": "file 1", "usr/lib/x": "file 0" });
    });

    it("of aufs' bookkeeping are left out", async () => {
      expect(await merged(lower, [file(".wh..wh.plnk/x"), file(".wh..wh.aufs")])).toEqual(await merged(lower));
    });

    it.each([".wh.", ".wh..", ".wh..."])("that name no file are refused: %s", async (name) => {
      await expect(merged(lower, [file(`d/${name}`)])).rejects.toMatchObject({ code: "ImageInvalid" });
    });
  });

  describe("replaced types", () => {
    it.each<[string, TestEntry[], TestEntry[], Record<string, string>]>([
      ["a directory by a file", [directory("x"), file("x/in")], [file("x")], { x: "file 1" }],
      ["a directory by a link", [directory("x"), file("x/in")], [symlink("x", "y")], { x: "symlink y" }],
      ["a file by a directory", [file("x")], [directory("x"), file("x/in")], { x: "directory", "x/in": "file 1" }],
      [
        "a link by a directory",
        [symlink("x", "y")],
        [directory("x"), file("x/in")],
        { x: "directory", "x/in": "file 1" },
      ],
      ["a file by a directory nobody names", [file("x")], [file("x/in")], { x: "directory", "x/in": "file 1" }],
      ["a file by itself, twice", [file("x")], [file("x"), file("x")], { x: "file 1" }],
    ])("%s", async (_, lower, upper, expected) => {
      expect(await merged(lower, upper)).toEqual(expected);
    });

    it("keeps a directory's children and takes its newer mode", async () => {
      const root = await tree(
        [directory("d", { mode: 0o755 }), file("d/a")],
        [directory("d", { mode: 0o700, uid: 5 })],
      );
      expect(root.children?.get("d")).toMatchObject({ mode: 0o700, uid: 5 });
      expect(root.children?.get("d")?.children?.has("a")).toBe(true);
    });

    it("takes the root's own entry", async () => {
      expect(await tree([directory("./", { mode: 0o711, uid: 3 }), file("./x")])).toMatchObject({
        mode: 0o711,
        uid: 3,
      });
    });
  });

  describe("links in the path of an entry", () => {
    it("lead to the directory they mean", async () => {
      const usr = [directory("usr/lib"), symlink("lib", "usr/lib")];
      expect(await merged(usr, [file("lib/x")])).toMatchObject({ lib: "symlink usr/lib", "usr/lib/x": "file 1" });
    });

    it("stay inside the image, whatever they say", async () => {
      const links = [symlink("up", "../../../../etc"), symlink("abs", "/etc"), directory("etc")];
      expect(await merged(links, [file("up/a"), file("abs/b")])).toMatchObject({
        "etc/a": "file 1",
        "etc/b": "file 1",
      });
    });

    it("that lead nowhere make the directory they mean", async () => {
      expect(await merged([symlink("l", "a/b")], [file("l/x")])).toMatchObject({ "a/b/x": "file 1" });
    });

    it("that lead in a circle are refused", async () => {
      const layer = [symlink("a", "b"), symlink("b", "a"), file("a/x")];
      await expect(merged(layer)).rejects.toMatchObject({
        message: expect.stringContaining("too many symbolic links"),
      });
    });
  });

  describe("hard links", () => {
    it("share the file, in a layer and into lower ones", async () => {
      const root = await tree([file("a")], [hardLink("b", "a"), hardLink("c", "b")]);
      const names = [...(root.children ?? [])];
      expect(names.map(([name]) => name)).toEqual(["a", "b", "c"]);
      expect(new Set(names.map(([, inode]) => inode)).size).toBe(1);
    });

    it("keep the old file when its first name is replaced or hidden above", async () => {
      const lower = [file("a"), hardLink("b", "a")];
      expect(await merged(lower, [file("a")])).toEqual({ a: "file 1", b: "file 0" });
      expect(await merged(lower, [file(".wh.a")])).toEqual({ b: "file 0" });
    });

    it.each([
      ["before", [hardLink("b", "a"), file("a")]],
      ["after", [file("a"), hardLink("b", "a")]],
    ])("may stand %s their target", async (_, layer) => {
      expect(await merged(layer as TestEntry[])).toEqual({ a: "file 0", b: "file 0" });
    });

    it("to a file that the same layer hides rename it", async () => {
      expect(await merged([directory("d"), file("d/a")], [file(".wh.d"), hardLink("b", "d/a")])).toEqual({
        b: "file 0",
      });
    });

    it("to links are that link", async () => {
      expect(await merged([symlink("s", "x"), hardLink("h", "s")])).toEqual({ s: "symlink x", h: "symlink x" });
    });

    it.each([
      ["nothing", hardLink("b", "none"), /"none", which its layers do not hold/],
      ["a directory", hardLink("b", "d"), /points at a directory/],
      ["a place outside", hardLink("b", "../../etc/passwd"), /holds "\.\."/],
      ["an absolute name", hardLink("b", "/etc/passwd"), /is absolute/],
    ])("to %s are refused", async (_, link, message) => {
      await expect(merged([directory("d"), link])).rejects.toMatchObject({
        code: "ImageInvalid",
        message: expect.stringMatching(message),
      });
    });
  });

  it.each(["../x", "a/../../x", "a/..", "/etc/passwd", "a/\0b"])("refuses the entry name %j", async (name) => {
    await expect(merged([directory("a"), file(name)])).rejects.toMatchObject({ code: "ImageInvalid" });
  });

  it("takes dots and slashes that mean nothing out of names", async () => {
    expect(await merged([directory("./a//"), file("././a/./b"), directory("/")])).toEqual({
      a: "directory",
      "a/b": "file 0",
    });
  });

  it("leaves out device nodes", async () => {
    const layer: TestEntry[] = [
      directory("dev"),
      { path: "dev/null", type: "charDevice" },
      { path: "sda", type: "blockDevice" },
    ];
    expect(await merged(layer)).toEqual({ dev: "directory" });
  });

  it("leaves out attributes that steer the guest's overlay", async () => {
    const xattrs = {
      "trusted.overlay.opaque": "y",
      "user.overlay.x": "y",
      "system.posix_acl_access": "?",
      "user.kept": "1",
    };
    const root = await tree([file("x", "x", { xattrs })]);
    expect([...(root.children?.get("x")?.xattrs ?? [])]).toEqual([["user.kept", "1"]]);
  });

  it.each([
    ["entries", { entries: 3 }, /more than the allowed 3 entries/],
    ["bytes", { totalBytes: 2000 }, /more than the allowed 2000 bytes/],
    ["names", { allNamesBytes: 8 }, /names, links and attributes of more than the allowed 8 bytes/],
    ["long paths", { pathBytes: 4 }, /at most 4 are allowed/],
    ["long names", { nameBytes: 2 }, /at most 2 are allowed/],
  ])("stops at its limit of %s", async (_, limits, message) => {
    const layer = [file("a"), file("b"), file("c"), file("d/eeee")];
    await expect(treeWithin({ ...defaultImageLimits, ...limits }, layer)).rejects.toMatchObject({
      code: "ImageInvalid",
      message: expect.stringMatching(message),
    });
  });

  const long = Array.from({ length: 100 }, (_, index) => String(index % 10)).join("/");
  const count = Array.from({ length: 200 }, (_, index) => index);
  it.each<[string, TestEntry[], RegExp]>([
    ["directories that only paths speak of", count.map((each) => file(`${each}/${long}`)), /allowed 1000 entries/],
    [
      "attributes",
      count.map((each) => file(String(each), "", { xattrs: { "user.x": "y".repeat(100) } })),
      /allowed 10000 bytes/,
    ],
    [
      "ways through links",
      [symlink("up", "../".repeat(40)), directory("0"), ...count.map((each) => file(`${"up/".repeat(30)}0/${each}`))],
      /allowed 64000 steps/,
    ],
    [
      "hard links that wait for each other",
      [...count, ...count].map((_, index) => hardLink(String(index), String(index + 1))).concat(file("400")),
      /allowed 64000 steps/,
    ],
  ])("stops at a limit when few entries make many %s", async (_, layer, message) => {
    const limits = {
      ...defaultImageLimits,
      entries: 1000,
      allNamesBytes: message.source.includes("bytes") ? 10_000 : 1e6,
    };
    const refused = treeWithin(limits, layer);
    await expect(refused).rejects.toMatchObject({ message: expect.stringMatching(message), hint: expect.any(String) });
  });
});

/** Each path with what stands there and the layer it comes from. */
async function merged(...layers: TestEntry[][]): Promise<Record<string, string>> {
  const found: Record<string, string> = {};
  const visit = (parent: Inode, prefix: string) => {
    for (const [name, inode] of parent.children ?? []) {
      const detail = { directory: "", file: ` ${inode.layer}`, symlink: ` ${inode.linkTarget}`, fifo: "" }[inode.type];
      found[prefix + name] = inode.type + detail;
      visit(inode, `${prefix}${name}/`);
    }
  };
  visit(await tree(...layers), "");
  return found;
}

function tree(...layers: TestEntry[][]): Promise<Inode> {
  return treeWithin(defaultImageLimits, ...layers);
}

async function treeWithin(limits: ImageLimits, ...layers: TestEntry[][]): Promise<Inode> {
  const budget = new ImportBudget(limits);
  const indexes = [];
  for (const entries of layers) {
    const path = join(work, "layer.tar");
    await writeFile(path, tarOf(entries));
    indexes.push(await indexLayer({ label: "layer", path }, budget, { whiteouts: true }));
  }
  return mergeLayers(indexes, budget);
}
