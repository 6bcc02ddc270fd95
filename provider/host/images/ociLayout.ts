import { stat } from "node:fs/promises";
import { join } from "node:path";
import { SandboxesError } from "../../client/errors";
import type { ImageLimits } from "./imageLimits";
import { choosePlatform } from "./imagePlatform";
import { type LayeredImage, openLayeredImage, readBlob, readSmallFile } from "./layeredImage";
import { type Descriptor, indexSchema, type OciIndex } from "./ociDocuments";
import { parseDocument, parseManifestOrIndex } from "./parseDocument";

const tagAnnotation = "org.opencontainers.image.ref.name";
// An index may list indexes (a tag, its platforms); nothing real goes deeper.
const maxDepth = 4;

/** The digest of the manifest that `tag` means in an OCI image layout. */
export async function resolveOciLayout(path: string, tag: string | undefined, limits: ImageLimits): Promise<string> {
  return (await findManifest(path, tag, limits)).digest;
}

/** Opens an image of an OCI image layout where it is. */
export async function openOciLayout(path: string, tag: string | undefined, limits: ImageLimits): Promise<LayeredImage> {
  const what = layoutName(path, tag);
  const { bytes } = await findManifest(path, tag, limits);
  return openLayeredImage(what, bytes, (digest) => blobPath(path, digest), limits);
}

async function findManifest(
  path: string,
  tag: string | undefined,
  limits: ImageLimits,
): Promise<{ digest: string; bytes: Buffer }> {
  const what = layoutName(path, tag);
  await requireLayout(path);
  const index = parseDocument(
    `index.json of ${what}`,
    indexSchema,
    await readSmallFile(`index.json of ${what}`, join(path, "index.json"), limits),
  );
  let descriptor = chooseTag(what, index, tag);
  for (let depth = 0; depth < maxDepth; depth++) {
    const bytes = await readBlob(`the manifest of ${what}`, blobPath(path, descriptor.digest), descriptor, limits);
    const parsed = parseManifestOrIndex(`the manifest of ${what}`, bytes);
    if ("manifest" in parsed) return { digest: descriptor.digest, bytes };
    descriptor = choosePlatform(what, parsed.index);
  }
  throw new SandboxesError("ImageInvalid", `${what} has indexes inside indexes`);
}

function chooseTag(what: string, index: OciIndex, tag: string | undefined): Descriptor {
  if (tag === undefined) {
    const tags = new Set(index.manifests.map((entry) => entry.annotations?.[tagAnnotation]));
    if (tags.size <= 1) return choosePlatform(what, index);
    throw new SandboxesError("Invalid", `${what} holds several images`, { hint: `name one of: ${tagList(index)}` });
  }
  const tagged = index.manifests.filter((entry) => entry.annotations?.[tagAnnotation] === tag);
  if (tagged.length === 1) return tagged[0] as Descriptor;
  if (tagged.length > 1) return choosePlatform(what, { ...index, manifests: tagged });
  throw new SandboxesError("ImageNotFound", `${what} does not exist: the layout has no such tag`, {
    hint: `it holds: ${tagList(index) || "images without tags"}`,
  });
}

function tagList(index: OciIndex): string {
  return index.manifests.flatMap((entry) => entry.annotations?.[tagAnnotation] ?? []).join(", ");
}

async function requireLayout(path: string): Promise<void> {
  const stats = await stat(path).catch(() => undefined);
  if (!stats) throw new SandboxesError("ImageNotFound", `the OCI layout ${path} does not exist`);
  if (stats.isDirectory()) return;
  throw new SandboxesError("ImageInvalid", `the OCI layout ${path} is not a directory`, {
    hint: "an archive of docker save is written docker-archive:/file.tar",
  });
}

function blobPath(path: string, digest: string): string {
  return join(path, "blobs", digest.replace(":", "/"));
}

function layoutName(path: string, tag: string | undefined): string {
  return `oci:${path}${tag === undefined ? "" : `:${tag}`}`;
}
