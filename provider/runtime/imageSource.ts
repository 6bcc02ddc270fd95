import type { DiskImagesApi, ImageWaitOptions } from "../client/diskImages";
import { isGuid } from "../client/wire/identifiers";
import type { SandboxSource } from "../client/wire/sandboxes";

const usableStates = new Set(["Ready", "Succeeded", "Building"]);

/** Finds what a sandbox is made from by the one word that people write for it. */
export class ImageSources {
  readonly #diskImages: DiskImagesApi;
  readonly #importing = new Map<string, Promise<string>>();
  readonly #publicNames = new Set<string>();

  constructor(diskImages: DiskImagesApi) {
    this.#diskImages = diskImages;
  }

  /** A public name, an id, or a reference; the latter may take an import, which callers at the same time share. */
  async resolve(image: string, options: ImageWaitOptions = {}): Promise<SandboxSource> {
    if (isGuid(image)) return { diskImage: { id: image, isPublic: false } };
    if (await this.#isPublic(image, options)) return { diskImage: { name: image, isPublic: true } };
    return { diskImage: { id: await this.#imported(image, options), isPublic: false } };
  }

  async #isPublic(name: string, options: ImageWaitOptions): Promise<boolean> {
    if (!this.#publicNames.has(name) && !/[:/@]/.test(name)) {
      for (const image of await this.#diskImages.listPublic(options)) this.#publicNames.add(image.name);
    }
    return this.#publicNames.has(name);
  }

  #imported(reference: string, options: ImageWaitOptions): Promise<string> {
    let shared = this.#importing.get(reference);
    if (!shared) {
      // Without the first caller's signal: others may wait for the same import.
      shared = this.#import(reference, { onProgress: options.onProgress });
      this.#importing.set(reference, shared);
      shared.catch(() => {}).finally(() => this.#importing.delete(reference));
    }
    return unlessAborted(shared, options.signal);
  }

  async #import(reference: string, options: ImageWaitOptions): Promise<string> {
    const all = await this.#diskImages.list();
    const known = all.find((image) => image.image.base === reference && usableStates.has(image.status.state));
    const image = known ?? (await this.#diskImages.create({ image: { base: reference }, name: reference }));
    return (await this.#diskImages.waitUntilReady(image.id, options)).id;
  }
}

function unlessAborted<T>(work: Promise<T>, signal?: AbortSignal): Promise<T> {
  if (!signal) return work;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    if (signal.aborted) return abort();
    signal.addEventListener("abort", abort, { once: true });
    work.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
