import { randomUUID } from "node:crypto";
import type { Folders } from "./folders";
import { labelled, listOf, requireGuid } from "./listing";
import type { StoredGroup, StoredImage, StoredSandbox, StoredSnapshot } from "./model";
import { checkBody } from "./schemas";
import { jsonOf, older, WireError, type WireReply, type WireRequest } from "./wire";

/** What is made of a sandbox and outlives it: snapshots, and disk images of its files. */
export class Snapshots {
  readonly #violations: string[];
  readonly #folders: Folders;

  constructor(violations: string[], folders: Folders) {
    this.#violations = violations;
    this.#folders = folders;
  }

  handle(request: WireRequest, group: StoredGroup, id?: string): WireReply {
    if (id === undefined || id === "") {
      return listOf(
        request,
        labelled(request, [...group.snapshots.values()]).map((each) => viewOf(each, request)),
      );
    }
    if (id === "count") return { status: 200, json: group.snapshots.size };
    const snapshot = group.snapshots.get(requireGuid(id));
    if (!snapshot) throw new WireError(404, "SnapshotNotFound", "Requested document not found.");
    if (request.method === "DELETE") {
      group.snapshots.delete(id);
      this.#folders.remove(snapshot.folder);
      return { status: request.apiVersion === older ? 202 : 204 };
    }
    if (request.method !== "GET") throw new WireError(405, "MethodNotAllowed", request.method);
    return { status: 200, json: viewOf(snapshot, request) };
  }

  /** `POST …/sandboxes/{id}/snapshot`. */
  create(request: WireRequest, group: StoredGroup, sandbox: StoredSandbox): WireReply {
    const { labels } = checkBody("snapshot", jsonOf(request), request, this.#violations);
    const { id: sandboxId, resources, entrypoint, environment, vm } = sandbox;
    const snapshot: StoredSnapshot = {
      id: randomUUID(),
      labels: labels ?? {},
      sandboxId,
      createdAtUtc: new Date().toISOString(),
      ...{ resources, entrypoint, environment },
      folder: this.#folders.copyOf(vm),
    };
    group.snapshots.set(snapshot.id, snapshot);
    return { status: 200, json: viewOf(snapshot, request) };
  }

  /** `POST …/sandboxes/{id}/commit`; `show` gives the view of an image. */
  commit(
    request: WireRequest,
    group: StoredGroup,
    sandbox: StoredSandbox,
    show: (image: StoredImage) => object,
  ): WireReply {
    const { labels } = checkBody("snapshot", jsonOf(request), request, this.#violations);
    const { diskImage } = sandbox.sourcesRef as { diskImage?: { id?: string; name?: string } };
    const source = diskImage?.id ? group.images.get(diskImage.id)?.image : undefined;
    const image: StoredImage = {
      id: randomUUID(),
      labels: labels ?? {},
      // Of the image that the sandbox was made of.
      image: source ?? { base: diskImage?.name ?? "" },
      state: "Ready",
      errorMessage: "",
      createdAt: new Date().toISOString(),
      pollsLeft: 0,
      sizeInMB: 5120,
      folder: this.#folders.copyOf(sandbox.vm),
    };
    group.images.set(image.id, image);
    return { status: 200, json: { diskImage: show(image) } };
  }
}

function viewOf(snapshot: StoredSnapshot, request: WireRequest): object {
  const { id, labels, sandboxId, createdAtUtc, resources } = snapshot;
  const olderOnly = request.apiVersion === older && { status: "Ready", vmmType: "cloudhypervisor" };
  return { id, labels, sandboxId, createdAtUtc, resources, sizeInMB: 39, ...olderOnly };
}
