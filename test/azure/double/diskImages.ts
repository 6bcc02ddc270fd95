import { randomUUID } from "node:crypto";
import { labelled, listOf, requireGuid, requireMethod } from "./listing";
import type { Pace, StoredGroup, StoredImage } from "./model";
import { checkBody } from "./schemas";
import { jsonOf, older, WireError, type WireReply, type WireRequest } from "./wire";

const publicNames = ["ubuntu", "debian", "python-3.12", "python", "node-22"];

/** Disk images. A base with `missing` in its name is not found, one with `private` is refused by its registry. */
export class DiskImages {
  readonly #pace: Pace;
  readonly #violations: string[];

  constructor(pace: Pace, violations: string[]) {
    this.#pace = pace;
    this.#violations = violations;
  }

  handle(request: WireRequest, group: StoredGroup, id?: string, name?: string): WireReply {
    if (id === "public") return this.#public(request, name);
    if (id === undefined || id === "") {
      if (request.method !== "GET") return this.#create(request, group);
      return listOf(request, labelled(request, [...group.images.values()]).map(imageView));
    }
    const image = group.images.get(requireGuid(id));
    if (!image) throw new WireError(404, "DiskImageNotFound", "Requested document not found.");
    if (request.method === "DELETE") {
      group.images.delete(id);
      return { status: request.apiVersion === older ? 202 : 204 };
    }
    if (request.method !== "GET") throw new WireError(405, "MethodNotAllowed", request.method);
    if (image.state === "Building" && image.pollsLeft-- <= 0) this.#settle(image);
    return { status: 200, json: imageView(image) };
  }

  #create(request: WireRequest, group: StoredGroup): WireReply {
    requireMethod(request, "PUT", "POST");
    const image: StoredImage = {
      ...(request.apiVersion === older ? this.#readOlder(request) : this.#readNewer(request)),
      id: randomUUID(),
      state: "Building",
      errorMessage: "",
      createdAt: new Date().toISOString(),
      pollsLeft: this.#pace.buildPolls - 1,
      sizeInMB: 56,
    };
    group.images.set(image.id, image);
    if (this.#pace.buildPolls === 0) this.#settle(image);
    return { status: request.apiVersion === older ? 200 : 201, json: imageView(image) };
  }

  #readOlder(request: WireRequest): Pick<StoredImage, "name" | "labels" | "image"> {
    const { name, labels = {}, image } = checkBody("olderImage", jsonOf(request), request, this.#violations);
    const { base, entrypoint, cmd } = image;
    return { name, labels, image: { base, entrypoint: entrypoint ?? undefined, cmd: cmd ?? undefined } };
  }

  #readNewer(request: WireRequest): Pick<StoredImage, "name" | "labels" | "image"> {
    const body = checkBody("newerImage", jsonOf(request), request, this.#violations);
    const source = (body.source ?? {}) as { kind?: string; imageUrl?: string; blobSourceUri?: string };
    if (source.kind === "blob" && source.blobSourceUri) {
      return { name: body.name, labels: body.labels ?? {}, image: { base: source.blobSourceUri } };
    }
    if (source.kind !== "registry" || !source.imageUrl) {
      throw new WireError(400, "InvalidRequest", "The source is not understood.");
    }
    return { name: body.name, labels: body.labels ?? {}, image: { base: source.imageUrl } };
  }

  #settle(image: StoredImage): void {
    const { base } = image.image;
    image.errorMessage = base.includes("missing")
      ? `ImageNotFound: '${base}' was not found`
      : base.includes("private")
        ? `RegistryAuthFailed: cannot pull '${base}'`
        : "";
    image.state = image.errorMessage ? "Failed" : "Ready";
  }

  #public(request: WireRequest, name?: string): WireReply {
    const all = publicNames.map((each) => ({ name: each, status: { state: "Ready" } }));
    if (name === undefined) return listOf(request, all);
    const found = all.find((each) => each.name === name);
    if (!found) throw new WireError(404, "DiskImageNotFound", "Requested document not found.");
    return { status: 200, json: found };
  }
}

/** True for a name of the public catalogue. */
export function isPublicImage(name: string): boolean {
  return publicNames.includes(name);
}

/** An image as the service shows it. */
export function imageView(stored: StoredImage): object {
  const { id, name, labels, image, state, errorMessage, createdAt, sizeInMB } = stored;
  const status = { state, errorMessage, createdAt, updatedAt: createdAt };
  return { id, ...(name && { name }), labels, image, status, sizeInMB };
}
