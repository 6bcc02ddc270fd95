import { execFileSync } from "node:child_process";
import { createHash, randomBytes } from "node:crypto";
import {
  chmodSync,
  linkSync,
  lstatSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  readlinkSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import type { GuestAgent } from "../../../../provider/host/vm/guestAgent";
import {
  type AgentProcess,
  bytes,
  hasControlGroups,
  processesWith,
  startAgent,
  uniqueSeconds,
  until,
} from "./agentProcess";

let process_: AgentProcess;
let agent: GuestAgent;
let tree: string;

beforeEach(async () => {
  process_ = await startAgent();
  agent = await process_.connect();
  tree = join(process_.folder, "tree");
  mkdirSync(tree);
});

afterEach(async () => {
  agent.close();
  await process_.stop();
});

/** What `tar` makes of the archive, in a new folder. */
async function unpacked(): Promise<string> {
  const folder = join(process_.folder, "out");
  mkdirSync(folder);
  execFileSync("tar", ["-xpf", "-", "-C", folder, "--xattrs", "--xattrs-include=*"], {
    input: await bytes(await agent.archive(tree)),
  });
  return folder;
}

/** Every path with all that tar keeps of it. */
function describeTree(root: string, below = ""): string[] {
  return readdirSync(join(root, below))
    .sort()
    .flatMap((name) => {
      const path = join(below, name);
      const stats = lstatSync(join(root, path));
      const what = stats.isSymbolicLink()
        ? `-> ${readlinkSync(join(root, path))}`
        : stats.isFile()
          ? createHash("sha256")
              .update(readFileSync(join(root, path)))
              .digest("hex")
              .slice(0, 16)
          : "";
      const line = [
        path,
        stats.mode.toString(8),
        stats.uid,
        stats.gid,
        stats.nlink,
        Math.floor(stats.mtimeMs / 1000),
        what,
      ].join(" ");
      return stats.isDirectory() ? [line, ...describeTree(root, path)] : [line];
    });
}

test("a tree comes back as it was: names, modes, links, times, contents of any size", async () => {
  const long = join(tree, "n".repeat(120), "m".repeat(150));
  mkdirSync(long, { recursive: true });
  writeFileSync(join(long, "deep"), "deep\n");
  for (const size of [0, 1, 511, 512, 513, 16384, 16385, 100_000, 3_000_000]) {
    writeFileSync(join(tree, `bytes-${size}`), randomBytes(size));
  }
  writeFileSync(join(tree, "executable"), "#!/bin/sh\n", { mode: 0o755 });
  chmodSync(join(tree, "executable"), 0o4755);
  mkdirSync(join(tree, "empty"), { mode: 0o700 });
  symlinkSync("../nowhere", join(tree, "link"));
  symlinkSync("t".repeat(180), join(tree, "long link"));
  linkSync(join(tree, "bytes-513"), join(tree, "another name"));
  execFileSync("mkfifo", [join(tree, "pipe")]);
  for (let index = 0; index < 500; index++) writeFileSync(join(tree, "empty", `file ${index} é`), `${index}`);
  const before = describeTree(tree);
  expect(describeTree(await unpacked())).toEqual(before);
});

test("device nodes, owners and attributes are kept", async (context) => {
  if (process.getuid?.() !== 0) return context.skip();
  execFileSync("mknod", [join(tree, "null"), "c", "1", "3"]);
  writeFileSync(join(tree, "owned"), "x");
  execFileSync("chown", ["12345:54321", join(tree, "owned")]);
  const hasAttributes = trySetting(join(tree, "owned"));
  const out = await unpacked();
  expect(lstatSync(join(out, "null")).rdev).toBe(lstatSync("/dev/null").rdev);
  expect(lstatSync(join(out, "owned"))).toMatchObject({ uid: 12345, gid: 54321 });
  if (hasAttributes)
    expect(execFileSync("getfattr", ["-n", "user.note", "--only-values", join(out, "owned")]).toString()).toBe("kept");
});

test("a tree that is not there is a failure, not an empty archive", async () => {
  await expect(agent.archive("/nowhere/at/all")).rejects.toMatchObject({ code: "FileNotFound" });
});

test("programs stand still while the tree is read, and go on when another starts or the reader leaves", async (context) => {
  if (!hasControlGroups(process_)) return context.skip();
  writeFileSync(join(tree, "large"), Buffer.alloc(2_000_000));
  const counter = join(process_.folder, "count");
  const mark = uniqueSeconds();
  const script = `while :; do echo x >> ${counter}; sleep 0.01; done # ${mark}`;
  const looping = await agent.exec({ argv: ["sh", "-c", script], env: { PATH: "/usr/bin:/bin" } });
  looping.exit.catch(() => undefined);
  const count = () => lstatSync(counter, { throwIfNoEntry: false })?.size ?? 0;
  await until(() => count() > 5);
  const reading = await agent.archive(tree);
  // Whatever was under way when they were stopped comes to its end.
  await expect
    .poll(async () => {
      const before = count();
      await new Promise((resolve) => setTimeout(resolve, 200));
      return count() - before;
    })
    .toBe(0);
  const frozen = count();
  reading.destroy();
  await until(() => count() > frozen + 5);
  const again = await agent.archive(tree);
  const other = await agent.exec({ argv: ["true"], env: { PATH: "/usr/bin:/bin" } });
  expect((await other.exit).exitCode).toBe(0);
  const later = count();
  await until(() => count() > later + 5);
  expect((await bytes(again)).length).toBeGreaterThan(2_000_000);
  looping.kill("SIGKILL");
  await until(() => processesWith(script).length === 0);
});

test("the space of a file system is told", async () => {
  const space = await agent.space("/");
  expect(space.totalBytes).toBeGreaterThan(0);
  expect(space.availableBytes).toBeLessThanOrEqual(space.freeBytes);
  await expect(agent.space("/nowhere/at/all")).rejects.toMatchObject({ code: "FileNotFound" });
});

function trySetting(path: string): boolean {
  try {
    execFileSync("setfattr", ["-n", "user.note", "-v", "kept", path], { stdio: "ignore" });
    return true;
  } catch {
    return false; // no tool for it here, or a file system without them
  }
}
