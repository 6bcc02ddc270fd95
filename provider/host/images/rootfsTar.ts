import { stat } from "node:fs/promises";
import { SandboxesError } from "../../client/errors";
import { hashFile } from "./hashFile";
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
  return (await hashFile(path, signal)).digest;
}

/** The tar as an image of one layer; its digest is verified while it is read. */
export function openRootfsTar(path: string, digest: string): LayeredImage {
  const layers = [{ label: `rootfs:${path}`, path, digest }];
  return { digest, config: emptyImageConfig, layers, whiteouts: false };
}
