import { createHash, randomUUID } from "node:crypto";
import { chmodSync, copyFileSync, existsSync, mkdirSync, readFileSync, renameSync, symlinkSync } from "node:fs";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cacheDirectory } from "../../../provider/host/vm/cacheDirectory";
import { runTool } from "../../../provider/host/vm/runTool";

export interface TestRootfs {
  rootfsPath: string;
  rootfsDigest: string;
}

/** Raise when the content below changes. */
const version = 1;

/** The smallest image with a shell: Debian's static busybox. Made once per machine. */
export async function busyboxRootfs(): Promise<TestRootfs> {
  const rootfsPath = join(cacheDirectory(), "test", `busybox-${version}.squashfs`);
  if (!existsSync(rootfsPath)) await make(rootfsPath);
  const rootfsDigest = `sha256:${createHash("sha256").update(readFileSync(rootfsPath)).digest("hex")}`;
  return { rootfsPath, rootfsDigest };
}

async function make(path: string): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), "sandboxes-busybox-"));
  try {
    await runTool("apt-get", ["download", "busybox-static"], { cwd: work });
    const archive = (await readdir(work)).find((name) => name.endsWith(".deb")) as string;
    await runTool("dpkg-deb", ["-x", archive, "unpacked"], { cwd: work });
    const root = join(work, "root");
    for (const folder of ["bin", "dev", "etc", "home", "proc", "root", "sys", "tmp"]) {
      mkdirSync(join(root, folder), { recursive: true });
    }
    chmodSync(join(root, "tmp"), 0o1777);
    const busybox = join(root, "bin", "busybox");
    const unpacked = join(work, "unpacked");
    const source = ["bin/busybox", "usr/bin/busybox"].map((name) => join(unpacked, name)).find(existsSync) as string;
    copyFileSync(source, busybox);
    for (const applet of (await runTool(busybox, ["--list"])).toString().split("\n")) {
      if (applet && applet !== "busybox") symlinkSync("busybox", join(root, "bin", applet));
    }
    await writeFile(join(root, "etc/passwd"), "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000::/home:/bin/sh\n");
    await writeFile(join(root, "etc/group"), "root:x:0:\nuser:x:1000:\n");
    const made = `${path}.${randomUUID()}`;
    mkdirSync(join(path, ".."), { recursive: true });
    await runTool("mksquashfs", [root, made, "-all-root", "-noappend", "-quiet", "-no-progress", "-comp", "lz4"]);
    renameSync(made, path);
  } finally {
    await rm(work, { recursive: true });
  }
}
