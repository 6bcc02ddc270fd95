import { chmod, mkdtemp, readdir, readlink, rmdir, symlink } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { startTool, ToolFailure } from "./toolProcess";

const prefix = "sandboxes-debian-";
const linkName = "chroot";

/** A directory in which mmdebstrap may work; removed with all that is left in it when disposed of. */
export interface ChrootDirectory extends AsyncDisposable {
  path: string;
}

/**
 * Makes one outside the data directory, which neither apt's own user nor a user namespace may enter. A link in
 * `tempDir` remembers it, so that `removeForgottenChroots` finds it after a crash.
 */
export async function createChrootDirectory(tempDir: string): Promise<ChrootDirectory> {
  const path = await mkdtemp(join(tmpdir(), prefix));
  await symlink(path, join(tempDir, linkName));
  await chmod(path, 0o711);
  return { path, [Symbol.asyncDispose]: () => removeChroot(path) };
}

/** Removes what imports left whose temporary directories are still in `importingDir`. */
export async function removeForgottenChroots(importingDir: string): Promise<void> {
  for (const name of await readdir(importingDir).catch(() => [])) {
    const path = await readlink(join(importingDir, name, linkName)).catch(() => undefined);
    if (path?.startsWith(join(tmpdir(), prefix))) await removeChroot(path);
  }
}

async function removeChroot(path: string): Promise<void> {
  // Nothing should be mounted below (mmdebstrap has its own mount namespace); if it is, it must not be emptied.
  const remove = ["rm", "-rf", "--one-file-system", path];
  const isRoot = process.getuid?.() === 0;
  const entries = await readdir(path).catch(() => []);
  if (entries.length > 0) {
    // Without root the files belong to ids of the user's namespace, which only a process in such a one may touch.
    const [tool, ...args] = isRoot ? remove : ["mmdebstrap", "--unshare-helper", ...remove];
    await startTool({ tool: tool as string, args }).done.catch((error: unknown) => {
      // A forgotten directory is no reason to fail an import that has its image.
      if (!(error instanceof ToolFailure)) throw error;
    });
  }
  await rmdir(path).catch(() => undefined);
}
