import { createHash } from "node:crypto";
import { open } from "node:fs/promises";
import { isSandboxesError, SandboxesError } from "../../client/errors";
import { imageConfigOf } from "./imageConfig";
import type { ImageLimits } from "./imageLimits";
import { requirePlatform } from "./imagePlatform";
import type { ImageConfig } from "./imageStore";
import type { LayerFile } from "./layerStream";
import { configSchema, type Descriptor, type OciManifest } from "./ociDocuments";
import { parseDocument, parseManifestOrIndex } from "./parseDocument";

/** An image whose parts are all on this machine, its layers oldest first and not yet read. */
export interface LayeredImage {
  digest: string;
  config: ImageConfig;
  layers: LayerFile[];
  /** Whether names like `.wh.x` hide files of lower layers, or are just names. */
  whiteouts: boolean;
}

/** Opens an image by its manifest; `blobPath` tells where the file of a digest is. */
export async function openLayeredImage(
  what: string,
  manifestBytes: Buffer,
  blobPath: (digest: string) => string,
  limits: ImageLimits,
): Promise<LayeredImage> {
  const parsed = parseManifestOrIndex(`the manifest of ${what}`, manifestBytes);
  if (!("manifest" in parsed))
    throw new SandboxesError("ImageInvalid", `${what} is an index where an image is expected`);
  const { manifest } = parsed;
  const configBytes = await readBlob(
    `the configuration of ${what}`,
    blobPath(manifest.config.digest),
    manifest.config,
    limits,
  );
  const config = parseDocument(`the configuration of ${what}`, configSchema, configBytes);
  requirePlatform(what, config);
  const diffIds = config.rootfs.diff_ids;
  if (manifest.layers.length !== diffIds.length) {
    const counts = `${manifest.layers.length} layers, its configuration of ${diffIds.length}`;
    throw new SandboxesError("ImageInvalid", `${what} contradicts itself: its manifest tells of ${counts}`);
  }
  requireLayers(what, manifest, limits);
  const layers = manifest.layers.map((layer, index) => ({
    label: `layer ${index + 1} of ${what} (${layer.digest.slice(0, 19)}…)`,
    path: blobPath(layer.digest),
    digest: layer.digest,
    diffId: diffIds[index],
  }));
  return { digest: sha256(manifestBytes), config: imageConfigOf(config), layers, whiteouts: true };
}

/** Reads a small blob whole and verifies it. */
export async function readBlob(
  what: string,
  path: string,
  descriptor: Descriptor,
  limits: ImageLimits,
): Promise<Buffer> {
  const bytes = await readSmallFile(what, path, limits);
  const found = sha256(bytes);
  if (found === descriptor.digest) return bytes;
  throw new SandboxesError("ImageInvalid", `${what}: its digest is ${found}, not ${descriptor.digest} as declared`);
}

/** Reads a regular file of at most a document's size; `ImageInvalid` where it is missing or larger. */
export async function readSmallFile(what: string, path: string, limits: ImageLimits): Promise<Buffer> {
  try {
    await using file = await open(path);
    const stats = await file.stat();
    if (!stats.isFile()) throw new SandboxesError("ImageInvalid", `${what} is not a regular file`);
    if (stats.size > limits.documentBytes) {
      const sizes = `has ${stats.size} bytes; at most ${limits.documentBytes} are allowed`;
      throw new SandboxesError("ImageInvalid", `${what} ${sizes}`);
    }
    return await file.readFile();
  } catch (error) {
    if (isSandboxesError(error)) throw error;
    const code = (error as NodeJS.ErrnoException).code;
    const why = code === "ENOENT" || code === "ENOTDIR" ? "is missing" : `cannot be read (${code})`;
    throw new SandboxesError("ImageInvalid", `${what} ${why}`, { cause: error });
  }
}

/** `sha256:…` of some bytes. */
export function sha256(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

function requireLayers(what: string, manifest: OciManifest, limits: ImageLimits): void {
  if (manifest.layers.length > limits.layers) {
    throw new SandboxesError("ImageInvalid", `${what} has more than the allowed ${limits.layers} layers`);
  }
  for (const { mediaType } of manifest.layers) {
    if (mediaType.includes("+encrypted")) throw new SandboxesError("ImageInvalid", `${what} has encrypted layers`);
    if (mediaType === "" || /tar/.test(mediaType)) continue;
    throw new SandboxesError("ImageInvalid", `${what} is no container image: a layer is of type ${mediaType}`);
  }
}
