import { statfs } from "node:fs/promises";
import { SandboxesError } from "../../client/errors";

// The rest of the host goes on needing room while an image turns out larger than it looked.
const leftFreeBytes = 2 * 1024 * 1024 * 1024;

/** Rejects with `HostUnavailable` unless `bytes` more fit on the disk of a directory and leave the host some. */
export async function requireRoom(directory: string, bytes: number): Promise<void> {
  const { bavail, bsize } = await statfs(directory);
  if (bavail * bsize > leftFreeBytes + bytes) return;
  throw new SandboxesError("HostUnavailable", "the disk of the host is nearly full: the image cannot be unpacked", {
    hint: "run `sandboxes host gc`, remove images or sandboxes, or give the host a larger data directory",
  });
}
