import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import { SandboxesError } from "../../client/errors";
import { emptyImageConfig } from "./imageConfig";
import type { LayeredImage } from "./layeredImage";

/** The digest of a root file system tar: that of the file as it is, so compressing it anew makes another image. */
export async function resolveRootfsTar(path: string, signal?: AbortSignal): Promise<string> {
  const stats = await stat(path).catch(() => undefined);
  if (!stats) throw new SandboxesError("ImageNotFound", `the root file system ${path} does not exist`);
  if (!stats.isFile()) {
    throw new SandboxesError("ImageInvalid", `the root file system ${path} is not a regular file`, {
      hint: "pack a directory first: tar -C DIR -cf rootfs.tar .",
    });
  }
  // A stream that is made over an aborted signal fails before anybody listens, which ends the whole process.
  signal?.throwIfAborted();
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path, { highWaterMark: 1024 * 1024, signal })) hash.update(chunk);
  return `sha256:${hash.digest("hex")}`;
}

/** The tar as an image of one layer; its digest is verified while it is read. */
export function openRootfsTar(path: string, digest: string): LayeredImage {
  const layers = [{ label: `rootfs:${path}`, path, digest }];
  return { digest, config: emptyImageConfig, layers, whiteouts: false };
}
