import { execFileSync } from "node:child_process";
import { randomBytes } from "node:crypto";
import {
  chmodSync,
  existsSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import type { GuestAgent } from "../../../../provider/host/vm/guestAgent";
import { type AgentProcess, bytes, chunksOf, startAgent, until } from "./agentProcess";

let process_: AgentProcess;
let agent: GuestAgent;
let folder: string;
let folders = 0;

beforeAll(async () => {
  process_ = await startAgent();
  agent = await process_.connect();
});
afterAll(async () => {
  agent?.close();
  await process_?.stop();
});
beforeEach(() => {
  folders += 1;
  folder = join(process_.folder, `test${folders}`);
  mkdirSync(folder);
});

test("a file comes back byte for byte", async () => {
  for (const length of [0, 1, 32 * 1024 - 9, 70_000, 5_000_000]) {
    const content = randomBytes(length);
    const path = join(folder, `file ${length} ü`);
    expect(await agent.writeFile(path, chunksOf(content))).toBe(length);
    expect(readFileSync(path).equals(content)).toBe(true);
    expect((await bytes(await agent.readFile(path))).equals(content)).toBe(true);
  }
});

test("a part of a file is read by offset and length", async () => {
  const path = join(folder, "digits");
  writeFileSync(path, "0123456789");
  const part = async (options: object) => (await bytes(await agent.readFile(path, options))).toString();
  expect(await part({ offset: 3 })).toBe("3456789");
  expect(await part({ offset: 3, length: 2 })).toBe("34");
  expect(await part({ length: 0 })).toBe("");
  expect(await part({ offset: 99, length: 5 })).toBe("");
});

test("files of the kernel, which have no size, are read too", async () => {
  expect((await bytes(await agent.readFile("/proc/self/stat"))).toString()).toMatch(/\(agent\)/);
});

test("a reader that stops early breaks nothing", async () => {
  const path = join(folder, "large");
  writeFileSync(path, Buffer.alloc(3_000_000));
  for await (const _chunk of await agent.readFile(path)) break;
  await agent.ping();
  expect((await bytes(await agent.readFile(path))).length).toBe(3_000_000);
});

test("a new file has mode 0644, or the mode that was asked for", async () => {
  await agent.writeFile(join(folder, "a"), chunksOf("x"));
  await agent.writeFile(join(folder, "b"), chunksOf("x"), { mode: 0o4750 });
  expect(statSync(join(folder, "a")).mode & 0o7777).toBe(0o644);
  expect(statSync(join(folder, "b")).mode & 0o7777).toBe(0o4750);
});

test("a replaced file keeps mode and owner", async () => {
  const path = join(folder, "script");
  writeFileSync(path, "old");
  chmodSync(path, 0o751);
  const before = statSync(path);
  await agent.writeFile(path, chunksOf("new"));
  const after = statSync(path);
  expect(readFileSync(path, "utf8")).toBe("new");
  expect([after.mode, after.uid, after.gid]).toEqual([before.mode, before.uid, before.gid]);
});

test("until a write is complete the old content is there, and a broken off write leaves nothing", async () => {
  const path = join(folder, "file");
  writeFileSync(path, "old");
  const failing = async function* () {
    yield Buffer.from("half");
    await until(() => readdirSync(folder).length === 2);
    expect(readFileSync(path, "utf8")).toBe("old");
    throw new Error("the source broke");
  };
  await expect(agent.writeFile(path, failing())).rejects.toThrow("the source broke");
  await until(() => readdirSync(folder).length === 1);
  expect(readFileSync(path, "utf8")).toBe("old");
});

test("parents are made when asked for", async () => {
  const path = join(folder, "a/b/c");
  await expect(agent.writeFile(path, chunksOf("x"))).rejects.toMatchObject({ code: "FileNotFound" });
  await agent.writeFile(path, chunksOf("x"), { createDirs: true });
  expect(readFileSync(path, "utf8")).toBe("x");
});

test("writing to a link writes its target and keeps the link", async () => {
  mkdirSync(join(folder, "inner"));
  symlinkSync("inner/target", join(folder, "link"));
  await agent.writeFile(join(folder, "link"), chunksOf("through"));
  expect(lstatSync(join(folder, "link")).isSymbolicLink()).toBe(true);
  expect(readFileSync(join(folder, "inner/target"), "utf8")).toBe("through");
  symlinkSync("loop", join(folder, "loop"));
  await expect(agent.writeFile(join(folder, "loop"), chunksOf("x"))).rejects.toMatchObject({ code: "FileConflict" });
});

test("what is not a file is told apart", async () => {
  execFileSync("mkfifo", [join(folder, "pipe")]);
  const missing = join(folder, "missing");
  await expect(agent.readFile(missing)).rejects.toMatchObject({ code: "FileNotFound" });
  await expect(agent.readFile(folder)).rejects.toMatchObject({ code: "FileConflict" });
  await expect(agent.readFile(join(folder, "pipe"))).rejects.toMatchObject({ code: "FileConflict" });
  await expect(agent.writeFile(folder, chunksOf("x"))).rejects.toMatchObject({ code: "FileConflict" });
  await expect(agent.writeFile(join(folder, "pipe"), chunksOf("x"))).rejects.toMatchObject({ code: "FileConflict" });
  await expect(agent.stat(missing)).rejects.toMatchObject({ code: "FileNotFound" });
  await expect(agent.list(missing)).rejects.toMatchObject({ code: "FileNotFound" });
  await expect(agent.remove(missing)).rejects.toMatchObject({ code: "FileNotFound" });
  await expect(agent.readFile("relative")).rejects.toMatchObject({ code: "Invalid" });
  await expect(agent.stat("/a\0b")).rejects.toMatchObject({ code: "Invalid" });
});

test("stat tells type, size, mode and target of the path itself", async () => {
  const path = join(folder, "file");
  writeFileSync(path, "12345", { mode: 0o640 });
  symlinkSync("file", join(folder, "link"));
  const info = statSync(path);
  expect(await agent.stat(path)).toEqual({
    name: "file",
    path,
    sizeBytes: 5,
    mode: 0o640,
    type: "file",
    uid: info.uid,
    gid: info.gid,
    modifiedMs: Math.floor(info.mtimeMs),
  });
  expect(await agent.stat(join(folder, "link"))).toMatchObject({ type: "symlink", symlinkTarget: "file" });
  expect(await agent.stat(folder)).toMatchObject({ type: "directory" });
  expect(await agent.stat("/dev/null")).toMatchObject({ type: "other" });
  expect(await agent.stat("/")).toMatchObject({ type: "directory", path: "/" });
});

test("a listing has every entry, hidden ones too, sorted by name", async () => {
  const names = Array.from({ length: 700 }, (_, i) => `entry-${String(i).padStart(4, "0")}-${"n".repeat(i % 200)}`);
  for (const name of [...names, ".hidden"]) writeFileSync(join(folder, name), name);
  symlinkSync("/nowhere", join(folder, "link"));
  const entries = await agent.list(folder);
  expect(entries.map((entry) => entry.name)).toEqual([...names, ".hidden", "link"].sort());
  expect(entries.at(-1)).toMatchObject({ path: join(folder, "link"), type: "symlink", symlinkTarget: "/nowhere" });
  await expect(agent.list(join(folder, ".hidden"))).rejects.toMatchObject({ code: "FileConflict" });
});

test("making a directory makes its parents and can be repeated", async () => {
  const path = join(folder, "a/b");
  await agent.mkdir(path, { mode: 0o700 });
  await agent.mkdir(path);
  expect(statSync(path).mode & 0o777).toBe(0o700);
  writeFileSync(join(folder, "file"), "");
  await expect(agent.mkdir(join(folder, "file"))).rejects.toMatchObject({ code: "FileConflict" });
  await expect(agent.mkdir(join(folder, "file/below"))).rejects.toMatchObject({ code: "FileConflict" });
});

test("a tree is removed only when asked for, and links in it are not followed", async () => {
  const outside = join(folder, "outside");
  mkdirSync(outside);
  writeFileSync(join(outside, "kept"), "");
  const tree = join(folder, "tree");
  mkdirSync(join(tree, "x/y/z"), { recursive: true });
  for (let i = 0; i < 300; i++) writeFileSync(join(tree, "x", `file${i}`), "");
  symlinkSync(outside, join(tree, "x/y/link"));
  await expect(agent.remove(tree)).rejects.toMatchObject({ code: "FileConflict" });
  await agent.remove(tree, { recursive: true });
  expect(existsSync(tree)).toBe(false);
  expect(existsSync(join(outside, "kept"))).toBe(true);
  await agent.remove(join(outside, "kept"));
  await agent.remove(outside);
  expect(readdirSync(folder)).toEqual([]);
});
