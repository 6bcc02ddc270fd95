import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readTar } from "./testTar";

/** What stands at each path: type, mode, owner, content or target, attributes; hard links name their first path. */
export type Tree = Record<string, string>;

/** The tree in a squashfs, unpacked by unsquashfs and read by GNU tar: by none of our code but the last parser. */
export async function treeOfSquashfs(path: string): Promise<Tree> {
  const work = mkdtempSync(join(tmpdir(), "tree-"));
  try {
    execFileSync("unsquashfs", ["-quiet", "-no-progress", "-d", join(work, "root"), path], { stdio: "pipe" });
    return await treeOfDirectory(join(work, "root"));
  } finally {
    rmSync(work, { recursive: true });
  }
}

/** The tree in a directory. */
export async function treeOfDirectory(path: string): Promise<Tree> {
  const options = ["--sort=name", "--numeric-owner", "--format=pax", "--xattrs", "--xattrs-include=*", "-C", path, "."];
  const tar = execFileSync("tar", ["-c", ...options], { maxBuffer: 1024 * 1024 * 1024, stdio: "pipe" });
  const tree: Tree = {};
  for (const entry of await readTar(tar, 65536)) {
    const name = Buffer.from(entry.path, "latin1").toString().replace(/^\.\//, "").replace(/\/$/, "");
    const target = Buffer.from(entry.linkTarget, "latin1").toString();
    const shape = `${entry.type} ${entry.mode.toString(8)} ${entry.uid}:${entry.gid}`;
    const content =
      entry.type === "file" ? entry.data.toString().slice(0, 200) : entry.type === "symlink" ? `-> ${target}` : "";
    const xattrs = [...(entry.xattrs ?? [])]
      .filter(([key]) => !key.startsWith("security.selinux"))
      .map(([key, value]) => `${key}=${JSON.stringify(value)}`)
      .sort();
    tree[name] =
      entry.type === "hardLink"
        ? `hardLink to ${target.replace(/^\.\//, "")}`
        : [shape, content, ...xattrs].filter(Boolean).join(" ");
  }
  return tree;
}
