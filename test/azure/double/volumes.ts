import type { SandboxVolume } from "../../../provider/client/wire/volumes";
import { definedOnly } from "../../../provider/pulumi/propertyBag";
import type { Folders } from "./folders";
import { labelled, listOf } from "./listing";
import type { Pace, StoredGroup, StoredSandbox, StoredVolume } from "./model";
import { checkBody } from "./schemas";
import { jsonOf, newer, WireError, type WireReply, type WireRequest } from "./wire";

/** Volumes: a folder for many sandboxes (`AzureBlob`) or one for a sandbox at a time (`DataDisk`). */
export class Volumes {
  readonly #pace: Pace;
  readonly #violations: string[];
  readonly #folders: Folders;

  constructor(pace: Pace, violations: string[], folders: Folders) {
    this.#pace = pace;
    this.#violations = violations;
    this.#folders = folders;
  }

  handle(request: WireRequest, group: StoredGroup, name?: string): WireReply {
    if (request.method === "GET" && (name === undefined || name === "")) {
      const all = labelled(request, [...group.volumes.values()]);
      return listOf(
        request,
        all.map((volume) => viewOf(group, volume)),
      );
    }
    if (name === undefined || name === "") throw new WireError(405, "MethodNotAllowed", request.method);
    if (request.method === "GET" && name === "count") return { status: 200, json: { counts: countsOf(group) } };
    if (request.method === "PUT") return this.#put(request, group, name);
    const volume = group.volumes.get(name);
    if (!volume) throw new WireError(404, "VolumeNotFound", "Requested document not found.");
    if (request.method === "DELETE") return this.#delete(group, volume);
    if (request.method !== "GET") throw new WireError(405, "MethodNotAllowed", request.method);
    volume.pollsLeft -= 1;
    return { status: 200, json: viewOf(group, volume) };
  }

  /** `POST …/sandboxes/{id}/volumes/add`. */
  add(request: WireRequest, group: StoredGroup, sandbox: StoredSandbox): WireReply {
    const { volumeMount } = checkBody("mount", jsonOf(request), request, this.#violations);
    requireMountable(group, volumeMount);
    if (sandbox.volumes.some(({ mountpoint }) => mountpoint === volumeMount.mountpoint)) {
      throw new WireError(409, "VolumeMountConflict", `'${volumeMount.mountpoint}' is taken.`);
    }
    mountVolume(this.#folders, group, sandbox, volumeMount);
    sandbox.volumes = [...sandbox.volumes, volumeMount];
    return { status: 204 };
  }

  #put(request: WireRequest, group: StoredGroup, name: string): WireReply {
    const body = checkBody("volume", jsonOf(request), request, this.#violations);
    const { type, size, labels, storageContainerResourceId, auth } = body;
    for (const field of fieldsOf[type] ?? []) {
      if (!body[field]) throw new WireError(400, "InvalidRequest", `${field} is required.`);
    }
    for (const field of ["size", "storageContainerResourceId", "auth"] as const) {
      const isKnown = fieldsOf[type]?.includes(field) ?? false;
      if (body[field] && !isKnown) this.#violations.push(`${request.method} ${request.path}: ${type} has no ${field}`);
    }
    const old = group.volumes.get(name);
    if (old && (old.type !== type || (size && old.size && old.size !== size))) {
      throw new WireError(409, "VolumeConflict", `The volume '${name}' exists with another type or size.`);
    }
    const volume: StoredVolume = {
      volumeName: name,
      type,
      size: size ?? old?.size,
      labels: labels ?? {},
      more: definedOnly({ storageContainerResourceId, auth, sku: type === "Esan" ? "Premium_ZRS" : undefined }),
      pollsLeft: old?.pollsLeft ?? this.#pace.volumePolls,
      folder: old?.folder ?? this.#folders.make(),
    };
    group.volumes.set(name, volume);
    return { status: old && request.apiVersion !== newer ? 200 : 201, json: viewOf(group, volume) };
  }

  #delete(group: StoredGroup, volume: StoredVolume): WireReply {
    if (usersOf(group, volume.volumeName).length > 0) {
      throw new WireError(409, "VolumeInUse", `The volume '${volume.volumeName}' is in use.`);
    }
    group.volumes.delete(volume.volumeName);
    this.#folders.remove(volume.folder);
    return { status: 204 };
  }
}

export function requireMountable(group: StoredGroup, { volumeName }: SandboxVolume): void {
  const volume = group.volumes.get(volumeName);
  if (!volume) throw new WireError(404, "VolumeNotFound", `The volume '${volumeName}' was not found.`);
  if (volume.pollsLeft > 0) throw new WireError(409, "VolumeNotReady", `The volume '${volumeName}' is not ready.`);
  if (volume.type === "DataDisk" && usersOf(group, volumeName).length > 0) {
    throw new WireError(409, "VolumeInUse", `The volume '${volumeName}' is attached to another sandbox.`);
  }
}

export function mountVolume(folders: Folders, group: StoredGroup, { vm }: StoredSandbox, mount: SandboxVolume): void {
  folders.mount(group.volumes.get(mount.volumeName)!.folder, vm, mount.mountpoint);
}

function usersOf(group: StoredGroup, name: string): StoredSandbox[] {
  return [...group.sandboxes.values()].filter(({ volumes }) => volumes.some(({ volumeName }) => volumeName === name));
}

function countsOf(group: StoredGroup): object[] {
  const types = [...group.volumes.values()].map(({ type }) => type);
  return [...new Set(types)].map((type) => ({ type, count: types.filter((other) => other === type).length }));
}

/** What each type has beside labels, and needs. */
const fieldsOf: Partial<Record<string, ("size" | "storageContainerResourceId" | "auth")[]>> = {
  DataDisk: ["size"],
  Esan: ["size"],
  AzureBlobByo: ["storageContainerResourceId", "auth"],
};

function viewOf(group: StoredGroup, { volumeName, type, size, labels, pollsLeft, more }: StoredVolume): object {
  const [user] = usersOf(group, volumeName);
  return {
    volumeName,
    type,
    ...(size && { size }),
    ...more,
    labels,
    usage: { used: "0Mi", available: size ?? "1Ti" },
    isAttached: user !== undefined,
    ...(user && type === "DataDisk" && { attachedSandboxId: user.id }),
    provisioningState: pollsLeft > 0 ? "Provisioning" : "Succeeded",
  };
}
