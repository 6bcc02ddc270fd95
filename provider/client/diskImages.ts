import { codeOf, SandboxesError } from "./errors";
import type { CallOptions, HttpClient } from "./http";
import { allOf, eachOf } from "./pages";
import { poll } from "./poll";
import { removeIfThere } from "./removal";
import {
  type CreateDiskImageContent,
  type DiskImageView,
  diskImagePage,
  diskImageView,
  type ImageFromAzure,
  newerCreateContent,
  type PublicImageView,
  publicImagePage,
} from "./wire/diskImages";
import { newerDataPlaneVersion } from "./wire/versions";

export interface ImageWaitOptions extends CallOptions {
  /** Each new thing that the service says it does. */
  onProgress?: (message: string) => void;
  /** Limit of the wait; default an hour. */
  timeoutMs?: number;
}

/** A large image over a slow line; the service gives up on its own before. */
const importTimeoutMs = 60 * 60_000;

/** Disk images of one group: what sandboxes are made from. */
export class DiskImagesApi {
  readonly #http: HttpClient;
  readonly #path: string;

  constructor(http: HttpClient, groupPath: string) {
    this.#http = http;
    this.#path = `${groupPath}/diskimages`;
  }

  /** Begins an import and answers at once, often `Building`; see `waitUntilReady`. */
  async create(content: NewDiskImage, { signal }: CallOptions = {}): Promise<DiskImageView> {
    const action = `create a disk image from "${content.blob ?? content.image.base}"`;
    const { createMethod: method, imageBySource } = this.#http.plane.dialect;
    const json = imageBySource ? newerCreateContent(content) : olderContent(content);
    return this.#http.json(diskImageView, { method, path: this.#path, json, action, signal, repeatable: false });
  }

  /** Waits until sandboxes can be made from it; rejects with the reason of a failed import. */
  async waitUntilReady(id: string, options: ImageWaitOptions = {}): Promise<DiskImageView> {
    const { signal, onProgress, timeoutMs = importTimeoutMs } = options;
    let said: string | undefined;
    const ask = async () => {
      const view = await this.get(id, { signal });
      const { state, message } = view.status;
      if (state === "Ready" || state === "Succeeded") return view;
      if (state === "Failed") throw importFailure(view);
      if (message && message !== said) onProgress?.(message);
      said = message ?? said;
      return undefined;
    };
    return poll(ask, { signal, timeoutMs, what: `disk image "${id}" to be ready` });
  }

  get(id: string, { signal }: CallOptions = {}): Promise<DiskImageView> {
    return this.#http.json(diskImageView, {
      method: "GET",
      path: this.#one(id),
      action: `read disk image "${id}"`,
      signal,
    });
  }

  list({ signal }: CallOptions = {}): Promise<DiskImageView[]> {
    const request = { method: "GET", path: this.#path, action: "list disk images", signal } as const;
    return allOf(eachOf(this.#http, diskImagePage, request));
  }

  /** Sandboxes made from it go on. Succeeds also when it was not there. */
  delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    return removeIfThere(this.#http, { path: this.#one(id), action: `delete disk image "${id}"`, signal });
  }

  /** Images that everyone has, by name; the host's catalogue. */
  listPublic({ signal }: CallOptions = {}): Promise<PublicImageView[]> {
    const request = { method: "GET", path: `${this.#path}/public`, action: "list public images", signal } as const;
    return allOf(eachOf(this.#http, publicImagePage, request));
  }

  #one(id: string): string {
    return `${this.#path}/${encodeURIComponent(id)}`;
  }
}

/** What an image is to be made of. */
export type NewDiskImage = CreateDiskImageContent & ImageFromAzure;

/** The older version names a user-assigned identity, and nothing else of Azure's. */
function olderContent({ identity, blob, vnetConnectionName, ...content }: NewDiskImage): CreateDiskImageContent {
  const isKnown = blob === undefined && vnetConnectionName === undefined && identity !== "system";
  if (isKnown) return { ...content, managedIdentityResourceId: identity };
  const onNetwork = vnetConnectionName === undefined ? "the group's own identity" : "a registry within a network";
  const what = blob === undefined ? onNetwork : "images in blob storage";
  throw new SandboxesError(
    "Unsupported",
    `Cannot create a disk image: this version of the API has no word for ${what}`,
    {
      hint: `set sandboxes:apiVersion to ${newerDataPlaneVersion}`,
    },
  );
}

function importFailure(view: DiskImageView): SandboxesError {
  const { errorCode, errorMessage, message } = view.status;
  const code = errorCode ? codeOf(422, errorCode) : "ImageInvalid";
  const reason = errorMessage || message || "the service gives no reason";
  return new SandboxesError(code, `Cannot import "${view.image.base ?? view.id}": ${reason}`, {
    serviceCode: errorCode ?? undefined,
  });
}
