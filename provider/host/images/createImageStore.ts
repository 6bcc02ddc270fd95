import { createHash, randomUUID } from "node:crypto";
import { existsSync } from "node:fs";
import { mkdir, rm } from "node:fs/promises";
import { join } from "node:path";
import { isSandboxesError, SandboxesError } from "../../client/errors";
import { createSlots } from "../../slots";
import { type Catalogue, type CatalogueSource, createCatalogue } from "./catalogue";
import { type CatalogueImages, createCatalogueImages } from "./catalogueImages";
import { removeForgottenChroots } from "./chrootDirectory";
import { describeRootfs, publishImage, readImage, readImages, removeImage, rootfsPath } from "./imageFiles";
import { defaultImageLimits, type ImageLimits } from "./imageLimits";
import { type ImageReference, type PlaceReference, parseImageReference } from "./imageReference";
import { openImageSource, resolveImageSource, type SourceAccess } from "./imageSource";
import type { AbandonedPull, ImageStore, ImportOptions, StoredImage } from "./imageStore";
import type { LayeredImage } from "./layeredImage";
import { digestSchema } from "./ociDocuments";
import { packLayers } from "./packLayers";
import { PullDirectories } from "./pulls";
import type { Recipe } from "./recipes";
import { isUnreachable } from "./registry/registryError";
import { type JobContext, SharedJobs } from "./sharedJobs";

export interface ImageStoreOptions {
  /** Images are kept below `DIR/images`; one store at a time may use a directory. */
  dataDir: string;
  /** Where catalogue images are kept for other data directories; they are made anew for each where absent. */
  cacheDir?: string;
  limits?: Partial<ImageLimits>;
  /** Default: Azure's public names. */
  catalogue?: Catalogue;
  /** Ends all imports and what they started. */
  signal?: AbortSignal;
}

/** Opens the image store of a data directory; what a crash left half done is removed. */
export function createImageStore(options: ImageStoreOptions): ImageStore {
  return new LocalImageStore(options);
}

class LocalImageStore implements ImageStore {
  readonly #directory: string;
  readonly #tempDir: string;
  readonly #pulls: PullDirectories;
  /** Each may take memory for a million names: many hostile images at once take no more than two. */
  readonly #unpacking = createSlots(2);
  readonly #limits: ImageLimits;
  readonly #catalogue: Catalogue;
  readonly #recipeImages: CatalogueImages;
  readonly #byReference: SharedJobs<StoredImage>;
  readonly #byDigest: SharedJobs<StoredImage>;
  #prepared: Promise<void> | undefined;

  constructor({ dataDir, cacheDir, limits, catalogue, signal }: ImageStoreOptions) {
    this.#directory = join(dataDir, "images");
    this.#tempDir = join(this.#directory, ".importing");
    const pullsDir = join(this.#directory, ".pulls");
    this.#pulls = new PullDirectories(pullsDir);
    this.#limits = { ...defaultImageLimits, ...limits };
    this.#catalogue = catalogue ?? createCatalogue();
    this.#recipeImages = createCatalogueImages(this.#directory, cacheDir);
    this.#byReference = new SharedJobs(signal);
    this.#byDigest = new SharedJobs(signal);
    // At once: an import may be long in coming. One that finds the disk in trouble tells of it.
    if (existsSync(this.#tempDir) || existsSync(pullsDir)) this.#prepare().catch(() => undefined);
  }

  async import(reference: string, options: ImportOptions = {}): Promise<StoredImage> {
    const { parsed, source } = this.#find(reference);
    const image = await this.#byReference.run(jobKey(parsed, options), options, (context) => {
      const make = (recipe: Recipe) =>
        this.#inTempDir((tempDir) => this.#recipeImages.import(recipe, tempDir, context));
      if (source.kind === "recipe") return make(source.recipe);
      return this.#importNow(source.reference, options, context).catch((error: unknown) => {
        if (source.standIn && isUnreachable(error)) {
          context.progress(`${(error as Error).message}; taking ${source.standIn.name} in its place`);
          return make(source.standIn);
        }
        throw parsed.kind === "catalogue" ? publicImageError(parsed.name, error) : error;
      });
    });
    // Another reference may have brought the same image.
    return { ...withoutRecipe(image), reference: parsed.canonical };
  }

  async resolve(reference: string, options: ImportOptions = {}): Promise<string | undefined> {
    const { source } = this.#find(reference);
    const signal = options.signal ?? new AbortController().signal;
    if (source.kind === "recipe") return this.#recipeImages.resolve(source.recipe);
    return this.#inTempDir((tempDir) =>
      resolveImageSource(source.reference, {
        tempDir,
        pullDir: join(tempDir, "pull"),
        credentials: options.credentials,
        limits: this.#limits,
        signal,
        progress: options.onProgress ?? (() => undefined),
      }),
    ).catch((error: unknown) => {
      if (source.standIn && isUnreachable(error)) return this.#recipeImages.resolve(source.standIn);
      throw error;
    });
  }

  async get(digest: string): Promise<StoredImage | undefined> {
    return digestSchema.safeParse(digest).success ? withoutRecipe(await readImage(this.#pathOf(digest))) : undefined;
  }

  async list(): Promise<StoredImage[]> {
    const images = await readImages(this.#directory);
    return images.map((image) => withoutRecipe(image)).sort((a, b) => a.importedAt.localeCompare(b.importedAt));
  }

  async remove(digest: string): Promise<void> {
    if (!digestSchema.safeParse(digest).success) return;
    await this.#prepare();
    await removeImage(this.#pathOf(digest), join(this.#tempDir, randomUUID()));
  }

  abandonedPulls(): Promise<AbandonedPull[]> {
    return this.#pulls.abandoned();
  }

  removePull(digest: string): Promise<boolean> {
    return this.#pulls.remove(digest);
  }

  catalogue() {
    return this.#catalogue.entries;
  }

  #find(reference: string): { parsed: ImageReference; source: CatalogueSource } {
    const parsed = parseImageReference(reference, (name) => this.#catalogue.sourceOf(name) !== undefined);
    if (parsed.kind !== "catalogue") return { parsed, source: { kind: "place", reference: parsed } };
    return { parsed, source: this.#catalogue.sourceOf(parsed.name) as CatalogueSource };
  }

  async #importNow(
    reference: PlaceReference,
    { credentials }: ImportOptions,
    context: JobContext,
  ): Promise<StoredImage> {
    const access = { credentials, limits: this.#limits };
    context.progress(`resolving ${reference.canonical}`);
    const digest = await this.#inTempDir((tempDir) =>
      resolveImageSource(reference, { ...access, ...context, tempDir, pullDir: join(tempDir, "pull") }),
    );
    // The work belongs to the digest: it goes on when this caller leaves and one with another reference stays.
    const caller = { signal: context.signal, onProgress: context.progress };
    return this.#byDigest.run(digest, caller, (shared) =>
      this.#pulls.run(digest, shared.signal, (pullDir) =>
        this.#inTempDir((tempDir) => this.#importDigest(reference, digest, { ...access, ...shared, tempDir, pullDir })),
      ),
    );
  }

  async #importDigest(reference: PlaceReference, digest: string, access: SourceAccess): Promise<StoredImage> {
    const existing = await this.get(digest);
    if (existing) return existing;
    const image = await openImageSource(reference, digest, access);
    if (image.digest !== digest) {
      throw new SandboxesError("ImageInvalid", `${reference.canonical} changed while it was imported`);
    }
    return this.#unpacking.run(() => this.#unpack(reference, image, access), access.signal);
  }

  async #unpack(reference: PlaceReference, image: LayeredImage, access: SourceAccess): Promise<StoredImage> {
    const made = join(access.tempDir, "image");
    await mkdir(made);
    await packLayers(rootfsPath(made), image, access);
    return publishImage(made, this.#pathOf(image.digest), {
      version: 1,
      digest: image.digest,
      reference: reference.canonical,
      ...(await describeRootfs(made)),
      config: image.config,
      importedAt: new Date().toISOString(),
    });
  }

  #pathOf(digest: string): string {
    return join(this.#directory, digest.slice("sha256:".length));
  }

  async #inTempDir<T>(work: (tempDir: string) => Promise<T>): Promise<T> {
    await this.#prepare();
    const tempDir = join(this.#tempDir, randomUUID());
    await mkdir(tempDir, { mode: 0o700 });
    try {
      return await work(tempDir);
    } finally {
      await rm(tempDir, { recursive: true, force: true });
    }
  }

  #prepare(): Promise<void> {
    this.#prepared ??= (async () => {
      await removeForgottenChroots(this.#tempDir);
      await this.#pulls.removeOld();
      await rm(this.#tempDir, { recursive: true, force: true });
      await mkdir(this.#tempDir, { recursive: true, mode: 0o700 });
    })().catch((error: unknown) => {
      // A full or read-only disk may be mended without a new start.
      this.#prepared = undefined;
      throw error;
    });
    return this.#prepared;
  }
}

/** Callers share a job only where they come with the same rights. */
function jobKey(reference: ImageReference, { credentials }: ImportOptions): string {
  const rights = credentials ? JSON.stringify([credentials.username, credentials.password]) : "";
  return `${reference.canonical}\n${createHash("sha256").update(rights).digest("hex")}`;
}

/** Callers of a public name know nothing of registries; the operator can give the name another source. */
function publicImageError(name: string, error: unknown): unknown {
  if (!isSandboxesError(error, "RegistryFailed") && !isSandboxesError(error, "ImageNotFound")) return error;
  const mend = `or give "${name}" another source in catalogue.json of the host's data directory: {"${name}": "recipe:debian"}`;
  return new SandboxesError(error.code, `Cannot import the public image "${name}": ${error.message}`, {
    hint: error.hint ? `${error.hint}; ${mend}` : mend.replace(/^or /, ""),
    cause: error,
  });
}

function withoutRecipe<T extends StoredImage | undefined>(image: T): T {
  if (!image) return image;
  const { recipe, ...rest } = image as StoredImage & { recipe?: string };
  return rest as T;
}
