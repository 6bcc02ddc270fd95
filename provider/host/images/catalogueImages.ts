import { randomUUID } from "node:crypto";
import { mkdir } from "node:fs/promises";
import { join } from "node:path";
import { buildDebianImage, recipeKey } from "./debianImage";
import { type DebianSources, debianSources } from "./debianSources";
import { adoptRootfs, describeRootfs, publishImage, readImage, readImages, rootfsPath } from "./imageFiles";
import type { StoredImage } from "./imageStore";
import type { Recipe } from "./recipes";
import type { JobContext } from "./sharedJobs";

// A new data directory shall not start with packages whose holes were mended long ago.
const cacheAgeMs = 30 * 24 * 60 * 60 * 1000;

// Asking apt takes a third of a second; its sources change rarely, and a limit keeps a hanging apt from being waited for.
const sourcesAgeMs = 60_000;
const sourcesLimitMs = 60_000;

export interface CatalogueImages {
  import(recipe: Recipe, tempDir: string, context: JobContext): Promise<StoredImage>;
  /** The digest of the image made by the present recipe; undefined where none has been made yet. */
  resolve(recipe: Recipe): Promise<string | undefined>;
}

/**
 * The images made from recipes. One that was made by the same recipe is used again: in this data directory for as
 * long as it is kept (remove it to have the packages of today), from the cache for a month.
 */
export function createCatalogueImages(imagesDir: string, cacheDir: string | undefined): CatalogueImages {
  const cached = (key: string) => (cacheDir === undefined ? undefined : join(cacheDir, "catalogue", key));
  const made = async (key: string) => (await readImages(imagesDir)).find(({ recipe }) => recipe === key);
  const sources = rememberedSources();
  return {
    async import(recipe, tempDir, context) {
      const key = recipeKey(recipe, await sources());
      const existing = await made(key);
      if (existing) return existing;
      const cache = cached(key);
      const fromCache = cache === undefined ? undefined : await adoptCached(cache, join(tempDir, "cached"));
      if (fromCache) {
        const { rootfsPath: _, ...record } = fromCache;
        return publishImage(join(tempDir, "cached"), pathOf(imagesDir, record.digest), { ...record, version: 1 });
      }
      context.progress(`making ${recipe.name} from Debian's packages, which takes some seconds`);
      const directory = join(tempDir, "image");
      await mkdir(directory);
      const digest = await buildDebianImage(rootfsPath(directory), recipe, await sources(), { ...context, tempDir });
      const record = {
        version: 1 as const,
        digest,
        reference: recipe.name,
        ...(await describeRootfs(directory)),
        config: recipe.config,
        importedAt: new Date().toISOString(),
        recipe: key,
      };
      const image = await publishImage(directory, pathOf(imagesDir, digest), record);
      if (cache !== undefined) {
        await fillCache(cache, pathOf(imagesDir, digest), record).catch((error: unknown) => {
          // The image is there; only the next data directory has to make it again.
          context.progress(
            `the image could not be kept in ${cache}: ${error instanceof Error ? error.message : error}`,
          );
        });
      }
      return image;
    },
    async resolve(recipe) {
      const key = recipeKey(recipe, await sources());
      const cache = cached(key);
      return ((await made(key)) ?? (cache === undefined ? undefined : await freshImage(cache)))?.digest;
    },
  };
}

function rememberedSources(): () => Promise<DebianSources> {
  let known: { at: number; sources: Promise<DebianSources> } | undefined;
  return () => {
    if (!known || Date.now() - known.at > sourcesAgeMs) {
      known = { at: Date.now(), sources: debianSources(AbortSignal.timeout(sourcesLimitMs)) };
      known.sources.catch(() => {
        known = undefined;
      });
    }
    return known.sources;
  };
}

/** Puts a cached image into `directory`; undefined where there is none, or an old or damaged one. */
async function adoptCached(cache: string, directory: string): Promise<(StoredImage & { recipe?: string }) | undefined> {
  const image = await freshImage(cache);
  if (!image) return undefined;
  await mkdir(directory);
  await adoptRootfs(cache, directory);
  const { rootfsDigest } = await describeRootfs(directory);
  return rootfsDigest === image.rootfsDigest ? image : undefined;
}

async function freshImage(cache: string): Promise<(StoredImage & { recipe?: string }) | undefined> {
  const image = await readImage(cache);
  return image && Date.now() - Date.parse(image.importedAt) < cacheAgeMs ? image : undefined;
}

async function fillCache(cache: string, from: string, record: Parameters<typeof publishImage>[2]): Promise<void> {
  const directory = `${cache}.${randomUUID()}`;
  await mkdir(directory, { recursive: true });
  await adoptRootfs(from, directory);
  await publishImage(directory, cache, record);
}

function pathOf(imagesDir: string, digest: string): string {
  return join(imagesDir, digest.slice("sha256:".length));
}
