import { constants } from "node:fs";
import { copyFile, link, mkdir, open, readdir, readFile, rename, rm, stat } from "node:fs/promises";
import { dirname, join } from "node:path";
import { z } from "zod";
import { SandboxesError } from "../../client/errors";
import { hashFile } from "./hashFile";
import { imageConfigSchema } from "./imageConfig";
import type { StoredImage } from "./imageStore";
import { digestSchema } from "./ociDocuments";

const rootfsName = "rootfs.sqfs";
const recordName = "image.json";

const recordSchema = z.object({
  version: z.literal(1),
  digest: digestSchema,
  reference: z.string(),
  rootfsDigest: digestSchema,
  sizeBytes: z.number(),
  config: imageConfigSchema,
  importedAt: z.string(),
  /** Of catalogue images: what they were made by. */
  recipe: z.string().optional(),
});

export type ImageRecord = z.infer<typeof recordSchema>;

/** Where a new image's squashfs is to be written inside its directory. */
export function rootfsPath(directory: string): string {
  return join(directory, rootfsName);
}

/** The image in a directory; undefined where none is or one that is damaged, which the next import replaces. */
export async function readImage(directory: string): Promise<(StoredImage & { recipe?: string }) | undefined> {
  try {
    const record = recordSchema.parse(JSON.parse(await readFile(join(directory, recordName), "utf8")));
    const { version, ...image } = record;
    const path = rootfsPath(directory);
    return (await stat(path)).size === image.sizeBytes ? { ...image, rootfsPath: path } : undefined;
  } catch {
    // Missing, unreadable or of another version: for callers all the same as not imported.
    return undefined;
  }
}

/** The images in the directories below `parent`. */
export async function readImages(parent: string): Promise<(StoredImage & { recipe?: string })[]> {
  const names = await readdir(parent).catch(() => []);
  const images = await Promise.all(
    names.filter((name) => !name.startsWith(".")).map((name) => readImage(join(parent, name))),
  );
  return images.filter((image) => image !== undefined);
}

/** Completes a directory that holds a squashfs already, and puts it in its place at once: whole or not at all. */
export async function publishImage(made: string, target: string, record: ImageRecord): Promise<StoredImage> {
  await writeDurably(join(made, recordName), `${JSON.stringify(recordSchema.parse(record), null, 2)}\n`);
  await syncDirectory(made);
  // What is there is damaged, or the same.
  await rm(target, { recursive: true, force: true });
  await mkdir(dirname(target), { recursive: true });
  await rename(made, target);
  await syncDirectory(dirname(target));
  const image = await readImage(target);
  if (!image) throw new SandboxesError("Internal", `the image just stored in ${target} cannot be read`);
  return image;
}

/** Digest and size of the squashfs in a directory. */
export async function describeRootfs(directory: string): Promise<{ rootfsDigest: string; sizeBytes: number }> {
  const { digest, sizeBytes } = await hashFile(rootfsPath(directory));
  return { rootfsDigest: digest, sizeBytes };
}

/** Takes over the squashfs of another directory; shares its blocks where the file system can. */
export async function adoptRootfs(from: string, directory: string): Promise<void> {
  const [source, copy] = [rootfsPath(from), rootfsPath(directory)];
  await link(source, copy).catch(async (error: NodeJS.ErrnoException) => {
    if (!["EXDEV", "EPERM", "EMLINK"].includes(error.code ?? "")) throw error;
    await copyFile(source, copy, constants.COPYFILE_EXCL | constants.COPYFILE_FICLONE);
  });
}

/** Moves an image out of the way before its files go, so that no half of it is ever found. Repeatable. */
export async function removeImage(directory: string, trash: string): Promise<void> {
  try {
    await rename(directory, trash);
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === "ENOENT") return;
    throw new SandboxesError("Internal", `the image in ${directory} cannot be removed`, { cause: error });
  }
  await rm(trash, { recursive: true, force: true });
}

async function writeDurably(path: string, text: string): Promise<void> {
  await using file = await open(path, "wx", 0o600);
  await file.writeFile(text);
  await file.sync();
}

async function syncDirectory(path: string): Promise<void> {
  await using directory = await open(path);
  await directory.sync();
}
