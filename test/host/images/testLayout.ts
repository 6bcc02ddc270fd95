import { createHash } from "node:crypto";
import { mkdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import zlib from "node:zlib";

export type Compression = "gzip" | "zstd" | "none";

export interface TestImage {
  /** Tars, oldest first. */
  layers: Buffer[];
  compression?: Compression;
  config?: Record<string, unknown>;
  architecture?: string;
  tag?: string;
}

export interface Blob {
  digest: string;
  size: number;
}

const layerTypes: Record<Compression, string> = {
  gzip: "application/vnd.oci.image.layer.v1.tar+gzip",
  zstd: "application/vnd.oci.image.layer.v1.tar+zstd",
  none: "application/vnd.oci.image.layer.v1.tar",
};
const manifestType = "application/vnd.oci.image.manifest.v1+json";
const indexType = "application/vnd.oci.image.index.v1+json";

/** Writes an OCI layout by hand and returns the manifests' descriptors. */
export async function writeLayout(directory: string, images: TestImage[]): Promise<Blob[]> {
  await startLayout(directory);
  const descriptors = [];
  for (const image of images) descriptors.push(await addImage(directory, image));
  await writeIndex(directory, descriptors);
  return descriptors;
}

/** Writes a layout with one tag for several platforms and returns the descriptor of their index. */
export async function writeMultiPlatformLayout(directory: string, images: TestImage[], tag: string): Promise<Blob> {
  await startLayout(directory);
  const manifests = [];
  for (const image of images) {
    const { annotations, ...descriptor } = await addImage(directory, image);
    manifests.push({ ...descriptor, platform: { os: "linux", architecture: image.architecture ?? "amd64" } });
  }
  const index = await addJson(directory, { schemaVersion: 2, mediaType: indexType, manifests });
  await writeIndex(directory, [{ ...index, mediaType: indexType, annotations: tagged(tag) }]);
  return index;
}

export function blobPath(directory: string, digest: string): string {
  return join(directory, "blobs", digest.replace(":", "/"));
}

export function compress(tar: Buffer, compression: Compression): Buffer {
  if (compression === "gzip") return zlib.gzipSync(tar);
  return compression === "zstd" ? zlib.zstdCompressSync(tar) : tar;
}

export function digestOf(bytes: Buffer): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}

async function startLayout(directory: string): Promise<void> {
  await mkdir(join(directory, "blobs", "sha256"), { recursive: true });
  await writeFile(join(directory, "oci-layout"), '{"imageLayoutVersion":"1.0.0"}');
}

async function addImage(directory: string, image: TestImage) {
  const compression = image.compression ?? "gzip";
  const layers = [];
  for (const tar of image.layers) {
    layers.push({ mediaType: layerTypes[compression], ...(await addBlob(directory, compress(tar, compression))) });
  }
  const config = await addJson(directory, {
    architecture: image.architecture ?? "amd64",
    os: "linux",
    config: image.config ?? {},
    rootfs: { type: "layers", diff_ids: image.layers.map(digestOf) },
  });
  const configType = "application/vnd.oci.image.config.v1+json";
  const manifest = { schemaVersion: 2, mediaType: manifestType, config: { mediaType: configType, ...config }, layers };
  const annotations = image.tag === undefined ? undefined : tagged(image.tag);
  return { mediaType: manifestType, ...(await addJson(directory, manifest)), annotations };
}

function tagged(tag: string): Record<string, string> {
  return { "org.opencontainers.image.ref.name": tag };
}

function writeIndex(directory: string, manifests: object[]): Promise<void> {
  return writeFile(join(directory, "index.json"), JSON.stringify({ schemaVersion: 2, manifests }));
}

function addJson(directory: string, value: unknown): Promise<Blob> {
  return addBlob(directory, Buffer.from(JSON.stringify(value)));
}

async function addBlob(directory: string, bytes: Buffer): Promise<Blob> {
  const digest = digestOf(bytes);
  await writeFile(blobPath(directory, digest), bytes);
  return { digest, size: bytes.length };
}
