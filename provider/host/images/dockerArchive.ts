import { mkdir, stat, symlink } from "node:fs/promises";
import { join } from "node:path";
import { SandboxesError } from "../../client/errors";
import { platformOptions } from "./imagePlatform";
import { type LayeredImage, openLayeredImage, readSmallFile, sha256 } from "./layeredImage";
import type { SourceAccess } from "./sourceAccess";
import { startTool, ToolFailure, toolOutput } from "./toolProcess";

/** The digest of the manifest that skopeo writes for an image of a `docker save` archive: its files decide alone. */
export async function resolveDockerArchive(
  path: string,
  tag: string | undefined,
  access: SourceAccess,
): Promise<string> {
  await requireArchive(path);
  try {
    const manifest = await toolOutput(
      {
        tool: "skopeo",
        args: [...platformOptions, "--tmpdir", access.tempDir, "inspect", "--raw", await source(path, tag, access)],
        cwd: access.tempDir,
        signal: access.signal,
      },
      access.limits.documentBytes,
    );
    return sha256(manifest);
  } catch (error) {
    throw archiveError(path, tag, error);
  }
}

/** Takes the archive apart in the job's directory: into its layers, which stay tars. */
export async function openDockerArchive(
  path: string,
  tag: string | undefined,
  access: SourceAccess,
): Promise<LayeredImage> {
  await requireArchive(path);
  const directory = join(access.tempDir, "parts");
  await mkdir(directory);
  try {
    const args = [...platformOptions, "--tmpdir", access.tempDir, "copy", "--quiet", "--preserve-digests"];
    const copy = { args: [...args, await source(path, tag, access), `dir:${directory}`], cwd: access.tempDir };
    await startTool({ tool: "skopeo", ...copy, signal: access.signal }).done;
  } catch (error) {
    access.signal.throwIfAborted();
    throw archiveError(path, tag, error);
  }
  const what = archiveName(path, tag);
  const manifest = await readSmallFile(`the manifest of ${what}`, join(directory, "manifest.json"), access.limits);
  // Blobs named by their digests, manifest and blobs unchanged.
  return openLayeredImage(what, manifest, (digest) => join(directory, digest.slice("sha256:".length)), access.limits);
}

/** skopeo ends a path at its first colon, so it is given a link without one. */
async function source(path: string, tag: string | undefined, access: SourceAccess): Promise<string> {
  await symlink(path, join(access.tempDir, "archive.tar")).catch((error: NodeJS.ErrnoException) => {
    if (error.code !== "EEXIST") throw error;
  });
  return `docker-archive:archive.tar${tag === undefined ? "" : `:${tag}`}`;
}

async function requireArchive(path: string): Promise<void> {
  const stats = await stat(path).catch(() => undefined);
  if (!stats) throw new SandboxesError("ImageNotFound", `the docker archive ${path} does not exist`);
  if (!stats.isFile()) throw new SandboxesError("ImageInvalid", `the docker archive ${path} is not a regular file`);
}

function archiveError(path: string, tag: string | undefined, error: unknown): unknown {
  if (!(error instanceof ToolFailure)) return error;
  const said = condensed(error.stderr);
  const what = archiveName(path, tag);
  if (/Tag .* not found|not found/i.test(said)) {
    return new SandboxesError("ImageNotFound", `${what}: the archive has no such image: ${said}`, {
      hint: "name it as the archive does: docker-archive:/file.tar:name:tag",
    });
  }
  if (/more than one image|multiple images/i.test(said)) {
    return new SandboxesError("Invalid", `${what} holds several images: ${said}`, {
      hint: "name one: docker-archive:/file.tar:name:tag",
    });
  }
  return new SandboxesError("ImageInvalid", `${what} cannot be read: ${said}`, {
    hint: "a root file system without image metadata is written rootfs:/file.tar",
  });
}

/** skopeo's last word, without its log format. */
function condensed(stderr: string): string {
  const lines = stderr.trim().split("\n");
  const fatal = lines.findLast((line) => /level=(fatal|error)/.test(line)) ?? lines.at(-1) ?? "";
  const [, quoted] = /msg="((?:[^"\\]|\\.)*)"/.exec(fatal) ?? [];
  const text =
    quoted === undefined ? fatal : quoted.replace(/\\(.)/g, (_, char: string) => (char === "n" ? " " : char));
  return text.slice(0, 500);
}

function archiveName(path: string, tag: string | undefined): string {
  return `docker-archive:${path}${tag === undefined ? "" : `:${tag}`}`;
}
