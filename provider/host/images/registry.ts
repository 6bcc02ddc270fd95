import { mkdir, readdir, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { SandboxesError } from "../../client/errors";
import type { ImageLimits } from "./imageLimits";
import { choosePlatform, platformOptions } from "./imagePlatform";
import type { RegistryReference } from "./imageReference";
import { type LayeredImage, openLayeredImage, readSmallFile, sha256 } from "./layeredImage";
import { parseManifestOrIndex } from "./parseDocument";
import { registryError } from "./registryError";
import type { SourceAccess } from "./sourceAccess";
import { startTool, toolOutput } from "./toolProcess";

// skopeo waits 1, 2, 4 s before it tries again what may pass. A wrong name shall be told soon, a download not be lost.
const resolveRetries = ["--retry-times", "1"];
const pullRetries = ["--retry-times", "3"];

/**
 * The digest of the manifest for this host's platform that the reference points to now: of an index the entry, not
 * the index, since that one moves also when only other platforms' images change.
 */
export async function resolveRegistryImage(reference: RegistryReference, access: SourceAccess): Promise<string> {
  const what = reference.canonical;
  const timeout = AbortSignal.timeout(access.limits.resolveMs);
  const source = `docker://${what}`;
  const options = [...(await authOptions(reference, access)), ...tlsOptions("--tls-verify", reference)];
  try {
    const bytes = await toolOutput(
      {
        tool: "skopeo",
        args: ["inspect", "--raw", ...resolveRetries, ...options, source],
        signal: AbortSignal.any([access.signal, timeout]),
      },
      access.limits.documentBytes,
    );
    if (reference.digest !== undefined && sha256(bytes) !== reference.digest) {
      throw new SandboxesError("RegistryFailed", `${what}: the registry answered with another manifest`);
    }
    const parsed = parseManifestOrIndex(`the manifest of ${what}`, bytes);
    return "index" in parsed ? choosePlatform(what, parsed.index).digest : sha256(bytes);
  } catch (error) {
    access.signal.throwIfAborted();
    if (!timeout.aborted) throw registryError(reference, error);
    const limit = `${access.limits.resolveMs / 1000} s`;
    throw new SandboxesError("RegistryFailed", `${what}: the registry did not answer within ${limit}`, {
      cause: error,
    });
  }
}

/** Downloads the manifest of that digest with all it names; digests are verified here again. */
export async function pullRegistryImage(
  reference: RegistryReference,
  digest: string,
  access: SourceAccess,
): Promise<LayeredImage> {
  const directory = join(access.tempDir, "pull");
  await mkdir(directory);
  // Asking for the digest leaves no gap in which the tag could move.
  const source = `docker://${reference.host}/${reference.repository}@${digest}`;
  const options = [...(await authOptions(reference, access)), ...tlsOptions("--src-tls-verify", reference)];
  await copyToDirectory(source, directory, [...pullRetries, ...options], access, (error) =>
    registryError(reference, error),
  );
  return openDirectory(reference.canonical, directory, access.limits);
}

/** Copies an image with skopeo into a directory of blobs named by their digests, manifest and blobs unchanged. */
export async function copyToDirectory(
  source: string,
  directory: string,
  options: string[],
  access: SourceAccess,
  explain: (error: unknown) => unknown,
  cwd?: string,
): Promise<void> {
  await using watch = watchGrowth(directory, access);
  try {
    const args = [...platformOptions, "--tmpdir", access.tempDir, "copy", "--quiet", "--preserve-digests"];
    const tool = startTool({
      tool: "skopeo",
      args: [...args, ...options, source, `dir:${directory}`],
      signal: AbortSignal.any([access.signal, watch.stalled]),
      ...(cwd !== undefined && { cwd }),
    });
    await tool.done;
  } catch (error) {
    access.signal.throwIfAborted();
    if (!watch.stalled.aborted) throw explain(error);
    const limit = `${access.limits.stallMs / 1000} s`;
    throw new SandboxesError("RegistryFailed", `${source}: nothing more came for ${limit}`, { cause: error });
  }
}

/** Opens what `copyToDirectory` left. */
export async function openDirectory(what: string, directory: string, limits: ImageLimits): Promise<LayeredImage> {
  const manifest = await readSmallFile(`the manifest of ${what}`, join(directory, "manifest.json"), limits);
  return openLayeredImage(what, manifest, (digest) => join(directory, digest.slice("sha256:".length)), limits);
}

/** Credentials go into a file that only this user reads: command lines are seen by everyone on the machine. */
async function authOptions(reference: RegistryReference, access: SourceAccess): Promise<string[]> {
  if (!access.credentials) return [];
  const { username, password } = access.credentials;
  const path = join(access.tempDir, "auth.json");
  const auth = Buffer.from(`${username}:${password}`).toString("base64");
  await writeFile(path, JSON.stringify({ auths: { [reference.host]: { auth } } }), { mode: 0o600 });
  return ["--authfile", path];
}

/** Plain HTTP and unverified TLS only where nobody can listen in: registries on this machine, as Docker does. */
function tlsOptions(option: string, { host }: RegistryReference): string[] {
  return /^(localhost|127(\.[0-9]{1,3}){3}|\[::1\])(:[0-9]+)?$/.test(host) ? [`${option}=false`] : [];
}

/** Reports a download's growth, and gives it up when nothing comes any more. */
function watchGrowth(directory: string, access: SourceAccess): AsyncDisposable & { stalled: AbortSignal } {
  const stalled = new AbortController();
  let last = { bytes: 0, at: Date.now(), reported: 0 };
  const timer = setInterval(async () => {
    const bytes = await sizeOf(directory);
    if (bytes !== last.bytes) {
      const reported = bytes >= last.reported + 5_000_000 ? bytes : last.reported;
      if (reported !== last.reported) access.progress(`downloaded ${Math.floor(bytes / 1_000_000)} MB`);
      last = { bytes, at: Date.now(), reported };
    } else if (Date.now() - last.at > access.limits.stallMs) {
      stalled.abort();
    }
  }, 1_000);
  timer.unref();
  return {
    stalled: stalled.signal,
    [Symbol.asyncDispose]: async () => clearInterval(timer),
  };
}

async function sizeOf(directory: string): Promise<number> {
  // Files come and go during a download.
  const names = await readdir(directory).catch(() => []);
  const sizes = names.map((name) =>
    stat(join(directory, name)).then(
      ({ size }) => size,
      () => 0,
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
