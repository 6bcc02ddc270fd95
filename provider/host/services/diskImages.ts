import { randomUUID } from "node:crypto";
import { rm } from "node:fs/promises";
import { isSandboxesError, SandboxesError } from "../../client/errors";
import { type Labels, matchesLabels } from "../../client/wire/labels";
import type { SandboxSource } from "../../client/wire/sandboxes";
import type { HeldKeys } from "../images/heldKeys";
import { isLocalReference, parseImageReference } from "../images/imageReference";
import type { CatalogueEntry, ImageStore, ImportOptions, StoredImage } from "../images/imageStore";
import type { DiskImageRecord, DiskImageStore } from "../store/diskImageStore";
import type { SandboxRecord } from "../store/sandboxStore";
import type { HostLog } from "./hostLog";
import { timestamp } from "./timestamp";

/** A cached image is ready within this time, and the answer to its creation says so; clients poll for the others. */
const answerWithinMs = 500;

export interface NewDiskImage {
  base: string;
  name?: string;
  labels?: Labels;
  entrypoint?: string[];
  cmd?: string[];
  warmUp?: string[];
  credentials?: { username: string; password: string };
  /** True for callers on this machine: only they may name its files. */
  localFiles: boolean;
}

/** An image that a sandbox is made from. */
export interface SourceImage {
  image: StoredImage;
  diskImage: { entrypoint?: string[]; cmd?: string[]; warmUp?: string[] };
}

/** Disk images of groups: names for what the image store holds, imported in the background. */
export class DiskImageService {
  readonly #store: DiskImageStore;
  readonly #images: ImageStore;
  readonly #log: HostLog;
  readonly #inUse: HeldKeys;
  /** By whom an image is held until it is in a record. */
  readonly #holds = new Map<string, () => void>();
  readonly #building = new Map<string, { abort: AbortController; done: Promise<void> }>();

  /** `imagesInUse` is told of images that are found, before they are noted in a record. */
  constructor(parts: { store: DiskImageStore; images: ImageStore; imagesInUse: HeldKeys; log: HostLog }) {
    this.#store = parts.store;
    this.#images = parts.images;
    this.#log = parts.log;
    this.#inUse = parts.imagesInUse;
  }

  /** Starts the import; answers `Building`, or what became of it if that is known at once. */
  async create(groupKey: string, body: NewDiskImage): Promise<DiskImageRecord> {
    if (isLocalReference(parseImageReference(body.base)) && !body.localFiles) {
      throw new SandboxesError("Forbidden", `Cannot import "${body.base}": files of the host are for its own users`, {
        field: "image.base",
        status: 400,
      });
    }
    const now = timestamp();
    const { base, name, entrypoint, cmd, warmUp, credentials } = body;
    const record: DiskImageRecord = {
      ...{ id: randomUUID(), groupKey, base, name, labels: body.labels ?? {}, entrypoint, cmd, warmUp, credentials },
      ...{ state: "Building", createdAt: now, updatedAt: now },
    };
    this.#store.put(record);
    await settledWithin(this.#build(record), answerWithinMs);
    return this.#store.get(groupKey, record.id) ?? record;
  }

  /** The same of a file of this host's own, a tar of a root file system, which is removed in the end. */
  async createFromFile(
    groupKey: string,
    made: { id: string; path: string; base: string; labels: Labels; commit: NonNullable<DiskImageRecord["commit"]> },
  ): Promise<DiskImageRecord> {
    const now = timestamp();
    const { id, path, base, labels, commit } = made;
    const record: DiskImageRecord = {
      ...{ id, groupKey, base, labels, commit },
      ...{ state: "Building", createdAt: now, updatedAt: now },
    };
    this.#store.put(record);
    await settledWithin(this.#buildFile(record, path), answerWithinMs);
    return this.#store.get(groupKey, record.id) ?? record;
  }

  /** How the image of a sandbox was named by whoever made it. */
  async baseOf({ groupKey, sourcesRef, imageDigest }: SandboxRecord): Promise<string> {
    const { diskImage } = sourcesRef as SandboxSource;
    if (diskImage?.name) return diskImage.name;
    const known = diskImage?.id ? this.#store.get(groupKey, diskImage.id)?.base : undefined;
    const image = imageDigest === undefined ? undefined : await this.#images.get(imageDigest);
    return known ?? image?.reference ?? imageDigest ?? "";
  }

  /** Goes on with imports that a former process left unfinished, and drops images whose group is gone. */
  restart(groupExists: (groupKey: string) => boolean): void {
    for (const record of this.#store.all()) {
      if (!groupExists(record.groupKey)) this.#store.delete(record.id);
      else if (record.state === "Building" && !record.commit) void this.#build(record);
    }
  }

  /** The same for images out of files of this host's own, which are whole once there is a record. */
  restartCommits(fileOf: (id: string) => string): void {
    const unfinished = this.#store.all().filter(({ state, commit }) => state === "Building" && commit);
    for (const record of unfinished) void this.#buildFile(record, fileOf(record.id));
  }

  isBuilding(id: string): boolean {
    return this.#building.has(id);
  }

  /** Deletes all of a group. */
  empty(groupKey: string): void {
    for (const record of this.#store.list(groupKey)) this.delete(groupKey, record.id);
  }

  get(groupKey: string, id: string): DiskImageRecord {
    const record = this.#store.get(groupKey, id);
    if (!record) throw new SandboxesError("NotFound", `The disk image "${id}" does not exist`);
    return record;
  }

  list(groupKey: string, selector: Labels = {}): DiskImageRecord[] {
    return this.#store.list(groupKey).filter((record) => matchesLabels(record.labels, selector));
  }

  /** Sandboxes made from it go on; the bytes stay for others that share them. False when there was none. */
  delete(groupKey: string, id: string): boolean {
    const record = this.#store.get(groupKey, id);
    if (!record) return false;
    this.#building.get(record.id)?.abort.abort();
    this.#store.delete(record.id);
    return true;
  }

  /** Over all groups. */
  count(): number {
    return this.#store.count();
  }

  listPublic(): CatalogueEntry[] {
    return this.#images.catalogue();
  }

  getPublic(name: string): CatalogueEntry {
    const entry = this.#images.catalogue().find((each) => each.name === name);
    if (!entry) throw new SandboxesError("NotFound", `The public disk image "${name}" does not exist`);
    return entry;
  }

  /** Says what is wrong with a source without waiting for anything; throws `ImageNotFound`, `Conflict`, `Invalid`. */
  checkSource(groupKey: string, source: SandboxSource | undefined): void {
    const { id, name } = diskImageOf(source);
    if (name !== undefined) {
      if (!this.#images.catalogue().some((entry) => entry.name === name)) throw unknownImage(name);
      return;
    }
    const record = this.#store.get(groupKey, id);
    if (!record) throw unknownImage(id);
    checkNotFailed(record);
  }

  /** The image a sandbox is made from, once its import is done. It stays until `letGo`. */
  async source(
    { id: sandboxId, groupKey, sourcesRef }: Pick<SandboxRecord, "id" | "groupKey" | "sourcesRef">,
    signal?: AbortSignal,
  ): Promise<SourceImage> {
    for (;;) {
      const found = await this.#source(groupKey, sourcesRef, signal);
      if (await this.#hold(sandboxId, found.image)) return found;
    }
  }

  /** What the holder needs is in its record, or it needs nothing any more. Repeatable. */
  letGo(holder: string): void {
    this.#holds.get(holder)?.();
    this.#holds.delete(holder);
  }

  async #source(groupKey: string, source: SandboxSource | undefined, signal?: AbortSignal): Promise<SourceImage> {
    const { id, name } = diskImageOf(source);
    if (name !== undefined) return { image: await this.#publicImage(name, signal), diskImage: {} };
    await this.#building.get(id.toLowerCase())?.done;
    const record = this.#store.get(groupKey, id);
    if (!record) throw unknownImage(id);
    checkNotFailed(record);
    const image = record.digest === undefined ? undefined : await this.#images.get(record.digest);
    if (record.commit) {
      if (image) return { image: { ...image, config: record.commit.config }, diskImage: {} };
      throw new SandboxesError("ImageNotFound", `Cannot use the disk image "${record.id}": its files are gone`);
    }
    if (image) return { image, diskImage: record };
    // Its files were removed by hand: the reference may still lead to them.
    return { image: await this.#images.import(record.base, { signal }), diskImage: record };
  }

  /** Ends running imports; they start again with the next process. */
  async close(): Promise<void> {
    for (const { abort } of this.#building.values()) abort.abort(closing);
    await Promise.all([...this.#building.values()].map(({ done }) => done));
  }

  async #publicImage(name: string, signal?: AbortSignal): Promise<StoredImage> {
    // With its source: an operator may have given the name another one since.
    const source = this.#images.catalogue().find((entry) => entry.name === name)?.source ?? "";
    const place = `${name} = ${source}`;
    const digest = this.#store.publicDigest(place);
    const known = digest === undefined ? undefined : await this.#images.get(digest);
    if (known) return known;
    const onProgress = (step: string) => this.#log.info({ publicImage: name, step }, "image import");
    const image = await this.#images.import(name, { signal, onProgress });
    this.#store.rememberPublic(place, image.digest);
    return image;
  }

  #build(record: DiskImageRecord, reference = record.base): Promise<void> {
    const abort = new AbortController();
    const done = this.#import(record, reference, abort.signal).finally(() => this.#building.delete(record.id));
    this.#building.set(record.id, { abort, done });
    return done;
  }

  /** The file is removed once nobody needs it to go on. */
  async #buildFile(record: DiskImageRecord, path: string): Promise<void> {
    await this.#build(record, `rootfs:${path}`);
    if (this.#store.find(record.id)?.state !== "Building") await rm(path, { force: true });
  }

  async #import(record: DiskImageRecord, reference: string, signal: AbortSignal): Promise<void> {
    const update = (change: Partial<DiskImageRecord>) => {
      if (signal.aborted) return;
      this.#store.put({
        ...(this.#store.get(record.groupKey, record.id) ?? record),
        ...change,
        updatedAt: timestamp(),
      });
    };
    try {
      const image = await this.#importHeld(record.id, reference, {
        credentials: record.credentials,
        signal,
        // Of a commit it would speak of the host's own files.
        onProgress: (message) => {
          this.#log.info({ diskImage: record.id, step: message }, "image import");
          update(record.commit ? {} : { message });
        },
      });
      const { digest, sizeBytes } = image;
      const config = record.commit?.config ?? image.config;
      update({ state: "Ready", digest, sizeBytes, config, message: undefined, credentials: undefined });
    } catch (error) {
      if (signal.aborted) return;
      this.#log.warn({ diskImage: record.id, error: String(error) }, "image import failed");
      const known = isSandboxesError(error) ? error : new SandboxesError("Internal", "The import failed unexpectedly");
      const message = known.hint ? `${known.message} (${known.hint})` : known.message;
      const told = record.commit ? message.replaceAll(reference.replace(/^rootfs:/, ""), "of the sandbox") : message;
      update({ state: "Failed", message: told, errorCode: known.serviceCode, credentials: undefined });
    } finally {
      this.letGo(record.id);
    }
  }

  async #importHeld(holder: string, reference: string, options: ImportOptions): Promise<StoredImage> {
    for (;;) {
      const image = await this.#images.import(reference, options);
      if (await this.#hold(holder, image)) return image;
    }
  }

  /** False for an image that was removed in the moment that it was found. */
  async #hold(holder: string, { digest }: StoredImage): Promise<boolean> {
    const release = await this.#inUse.hold(digest);
    this.letGo(holder);
    this.#holds.set(holder, release);
    return (await this.#images.get(digest)) !== undefined;
  }
}

const closing = new SandboxesError("HostUnavailable", "The host is stopping");

function diskImageOf(
  source: SandboxSource | undefined,
): { id: string; name?: undefined } | { id?: undefined; name: string } {
  const { id, name, isPublic } = source?.diskImage ?? {};
  const field = "sourcesRef.diskImage";
  if (id && !name && isPublic !== true) return { id };
  if (name && !id && isPublic !== false) return { name };
  throw new SandboxesError("Invalid", "A disk image is named by its id, or by a public name with isPublic: true", {
    field,
  });
}

function unknownImage(idOrName: string): SandboxesError {
  return new SandboxesError("ImageNotFound", `Cannot make a sandbox: no disk image "${idOrName}" exists here`, {
    field: "sourcesRef.diskImage",
  });
}

function checkNotFailed(record: DiskImageRecord): void {
  if (record.state !== "Failed") return;
  throw new SandboxesError(
    "Conflict",
    `Cannot use the disk image "${record.id}": its import failed: ${record.message}`,
  );
}

async function settledWithin(work: Promise<void>, ms: number): Promise<void> {
  let timer: NodeJS.Timeout | undefined;
  const limit = new Promise<void>((resolve) => {
    timer = setTimeout(resolve, ms);
  });
  await Promise.race([work, limit]);
  clearTimeout(timer);
}
