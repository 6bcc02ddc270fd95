import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { SandboxesError } from "../../../client/errors";
import { requireRoom } from "../diskRoom";
import { choosePlatform } from "../imagePlatform";
import type { RegistryReference } from "../imageReference";
import { type LayeredImage, openLayeredImage, sha256 } from "../layeredImage";
import type { Descriptor } from "../ociDocuments";
import { parseManifestOrIndex } from "../parseDocument";
import type { SourceAccess } from "../sourceAccess";
import { downloadBlob } from "./downloadBlob";
import { limitedBytes, RegistryClient } from "./registryClient";
import { connectionError } from "./registryError";
import { withRetries } from "./retries";

/** As many as Docker takes at once. */
const blobsAtOnce = 3;
const resolveTries = 2;
const progressBytes = 5_000_000;

const accept = [
  "application/vnd.oci.image.index.v1+json",
  "application/vnd.oci.image.manifest.v1+json",
  "application/vnd.docker.distribution.manifest.list.v2+json",
  "application/vnd.docker.distribution.manifest.v2+json",
].join(", ");

/**
 * The digest of the manifest for this host's platform that the reference points to now: of an index the entry, not
 * the index, since that one moves also when only other platforms' images change.
 */
export async function resolveRegistryImage(reference: RegistryReference, access: SourceAccess): Promise<string> {
  const what = reference.canonical;
  const timeout = AbortSignal.timeout(access.limits.resolveMs);
  // A wrong name shall be told soon; a download not be lost.
  const limits = { ...access.limits, tries: Math.min(access.limits.tries, resolveTries) };
  const limited = { ...access, limits, signal: AbortSignal.any([access.signal, timeout]) };
  try {
    const bytes = await withRegistry(reference, limited, (registry) =>
      manifestOf(reference, reference.digest ?? reference.tag ?? "latest", registry, limited),
    );
    const parsed = parseManifestOrIndex(`the manifest of ${what}`, bytes);
    return "index" in parsed ? choosePlatform(what, parsed.index).digest : sha256(bytes);
  } catch (error) {
    access.signal.throwIfAborted();
    if (!timeout.aborted) throw error;
    const limit = `${access.limits.resolveMs / 1000} s`;
    throw new SandboxesError("RegistryFailed", `image ${what}: the registry did not answer within ${limit}`, {
      cause: error,
    });
  }
}

/**
 * Downloads the manifest of that digest with all it names into `access.pullDir`, where an earlier download of it is
 * taken up again; digests are verified here, and again when the layers are read.
 */
export function pullRegistryImage(
  reference: RegistryReference,
  digest: string,
  access: SourceAccess,
): Promise<LayeredImage> {
  const { pullDir, limits } = access;
  const what = reference.canonical;
  return withRegistry(reference, access, async (registry) => {
    // Asking for the digest leaves no gap in which the tag could move.
    const bytes = await manifestOf(reference, digest, registry, access);
    const parsed = parseManifestOrIndex(`the manifest of ${what}`, bytes);
    if (!("manifest" in parsed)) throw new SandboxesError("ImageInvalid", `${what} has indexes inside indexes`);
    const { config, layers } = parsed.manifest;
    const blobs = [...new Map([config, ...layers].map((blob) => [blob.digest, blob])).values()];
    if (config.size > limits.documentBytes) throw tooLarge(what, "configuration", limits.documentBytes);
    const total = blobs.reduce((sum, { size }) => sum + size, 0);
    if (total > limits.totalBytes) throw tooLarge(what, "layers", limits.totalBytes);
    await mkdir(pullDir, { recursive: true, mode: 0o700 });
    await requireRoom(pullDir, total);
    await downloadAll(blobs, total, { what, registry, access });
    return openLayeredImage(what, bytes, (each) => pathOf(pullDir, each), limits);
  });
}

async function downloadAll(
  blobs: Descriptor[],
  total: number,
  { what, registry, access }: { what: string; registry: RegistryClient; access: SourceAccess },
): Promise<void> {
  const failed = new AbortController();
  const signal = AbortSignal.any([access.signal, failed.signal]);
  let done = 0;
  let told = 0;
  const onBytes = (count: number) => {
    done += count;
    if (Math.abs(done - told) < Math.max(progressBytes, total / 50)) return;
    told = done;
    access.progress(`downloaded ${Math.floor(done / 1e6)} of ${Math.ceil(total / 1e6)} MB`);
  };
  const waiting = blobs.values();
  const worker = async () => {
    for (const blob of waiting) {
      await downloadBlob(pathOf(access.pullDir, blob.digest), blob, {
        ...{ what, registry, onBytes },
        access: { ...access, signal },
      });
    }
  };
  const workers = Array.from({ length: blobsAtOnce }, () => worker());
  try {
    await Promise.all(workers);
  } catch (error) {
    failed.abort();
    await Promise.allSettled(workers);
    access.signal.throwIfAborted();
    throw error;
  }
}

function manifestOf(
  { canonical: what }: RegistryReference,
  name: string,
  registry: RegistryClient,
  { limits, signal }: SourceAccess,
): Promise<Buffer> {
  return withRetries(limits, signal, async () => {
    const { body } = await registry.get(`manifests/${name}`, { headers: { accept }, signal, wanted: [200] });
    const bytes = await limitedBytes(body, limits.documentBytes).catch((error: unknown) => {
      signal.throwIfAborted();
      throw connectionError(what, error);
    });
    if (!name.startsWith("sha256:") || sha256(bytes) === name) return bytes;
    throw new SandboxesError("RegistryFailed", `image ${what}: the registry answered with another manifest`);
  });
}

async function withRegistry<T>(
  reference: RegistryReference,
  access: SourceAccess,
  work: (registry: RegistryClient) => Promise<T>,
): Promise<T> {
  const registry = await RegistryClient.open(reference, access);
  try {
    return await work(registry);
  } finally {
    await registry.close();
  }
}

function pathOf(directory: string, digest: string): string {
  return join(directory, digest.slice("sha256:".length));
}

function tooLarge(what: string, part: string, limit: number): SandboxesError {
  return new SandboxesError("ImageInvalid", `image ${what}: its ${part} have more than the allowed ${limit} bytes`);
}
