import { existsSync, mkdtempSync, readdirSync, rmSync, statSync, truncateSync, writeFileSync } from "node:fs";
import { mkdir } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { createTemplateStore, type TemplateStore } from "../../../provider/host/vm/qemu/templateStore";

const spec = { rootfsPath: "/image", rootfsDigest: "sha256:1", vcpus: 1, memoryMiB: 1, diskMiB: 1 };
let root: string;
let store: TemplateStore;

beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "sandboxes-templates-"));
  store = createTemplateStore(root);
});
afterEach(() => rmSync(root, { recursive: true }));

async function publish(key: string): Promise<void> {
  const work = store.workDirectory();
  await mkdir(work);
  writeFileSync(join(work, "ram"), "memory");
  writeFileSync(join(work, "state"), "devices");
  writeFileSync(join(work, "disk"), "written");
  await store.publish(work, { key, spec, createdAt: `made ${key}`, bootMs: 1, tscKhz: 1 });
}

it("finds what was published, read-only for other users, and lists the last used first", async () => {
  await publish("aa");
  await publish("bb");
  await store.touch("aa");
  expect(await store.load("aa")).toMatchObject({ key: "aa", spec, createdAt: "made aa" });
  expect((await store.list()).map((template) => template.key)).toEqual(["aa", "bb"]);
  expect(statSync(join(root, "aa", "ram")).mode & 0o077).toBe(0);
});

it.each([
  ["without memory", (folder: string) => rmSync(join(folder, "ram"))],
  ["with less memory than was saved", (folder: string) => truncateSync(join(folder, "ram"), 3)],
  ["with half a state", (folder: string) => truncateSync(join(folder, "state"), 3)],
  ["without its disk", (folder: string) => rmSync(join(folder, "disk"))],
  ["with half a disk", (folder: string) => truncateSync(join(folder, "disk"), 3)],
  ["without description", (folder: string) => rmSync(join(folder, "meta.json"))],
  ["with half a description", (folder: string) => truncateSync(join(folder, "meta.json"), 20)],
  ["of another format", (folder: string) => writeFileSync(join(folder, "meta.json"), '{"formatVersion":0}')],
])("does not find a template %s, and replaces it", async (_name, damage) => {
  await publish("aa");
  damage(join(root, "aa"));
  expect(await store.load("aa")).toBeUndefined();
  expect(await store.list()).toEqual([]);
  await publish("aa");
  expect(await store.load("aa")).toBeDefined();
});

it("tells which templates nobody can use, and what they take", async () => {
  await publish("aa");
  await publish("bb");
  expect(await store.stale(() => true)).toEqual([]);
  truncateSync(join(root, "aa", "ram"), 3);
  await mkdir(store.workDirectory());
  expect(await store.stale(() => true)).toMatchObject([{ key: "aa" }]);
  const [, bb] = await store.stale(({ key }) => key !== "bb");
  expect(bb).toMatchObject({ key: "bb", sizeBytes: expect.any(Number) });
  expect(bb?.sizeBytes).toBeGreaterThan(0);
});

it("does not find a template under a key that is not its own", async () => {
  await publish("aa");
  await mkdir(join(root, "bb"));
  for (const name of readdirSync(join(root, "aa"))) {
    writeFileSync(join(root, "bb", name), "");
  }
  expect(await store.load("bb")).toBeUndefined();
});

it("removes templates, and what a killed build left", async () => {
  await publish("aa");
  await mkdir(join(store.workDirectory(), "template"), { recursive: true });
  await store.removeLeftovers();
  expect(readdirSync(root)).toEqual(["aa"]);
  await store.remove("aa");
  await store.remove("aa");
  expect(existsSync(join(root, "aa"))).toBe(false);
});
