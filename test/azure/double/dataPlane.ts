import type { ControlPlane } from "./controlPlane";
import { DiskImages, imageView } from "./diskImages";
import type { Folders } from "./folders";
import { Guest } from "./guest";
import type { Pace, StoredGroup } from "./model";
import { Named } from "./named";
import { Sandboxes } from "./sandboxes";
import { Snapshots } from "./snapshots";
import { Volumes } from "./volumes";
import { jsonOf, newer, older, WireError, type WireReply, type WireRequest } from "./wire";

const groupPattern = /^\/subscriptions\/([^/]+)\/resourceGroups\/([^/]+)\/sandboxGroups\/([^/]+)\/(.*)$/i;

/** The data plane: what is in groups. Parts of it are a class each; a path finds its part by its words. */
export class DataPlane {
  readonly #control: ControlPlane;
  readonly #images: DiskImages;
  readonly #sandboxes: Sandboxes;
  readonly #guest: Guest;
  readonly #named: Named;
  readonly #snapshots: Snapshots;
  readonly #volumes: Volumes;

  constructor(control: ControlPlane, pace: Pace, violations: string[], folders: Folders) {
    this.#control = control;
    this.#images = new DiskImages(pace, violations);
    this.#sandboxes = new Sandboxes(pace, violations, folders);
    this.#guest = new Guest(violations);
    this.#named = new Named(violations);
    this.#snapshots = new Snapshots(violations, folders);
    this.#volumes = new Volumes(pace, violations, folders);
  }

  async handle(request: WireRequest): Promise<WireReply> {
    const { group, parts } = this.open(request);
    const [noun, id, ...rest] = parts;
    if (noun === "diskimages") return this.#images.handle(request, group, id, rest[0]);
    if (noun === "secrets" || noun === "egressPolicies") {
      return this.#named.handle(request, group, noun, id, rest[0]);
    }
    if (noun === "snapshots") return this.#snapshots.handle(request, group, id);
    if (noun === "volumes") return this.#volumes.handle(request, group, id);
    if (noun !== "sandboxes") throw new WireError(404, "NotFound", request.path);
    const [verb, ...more] = rest;
    if (verb === "executeCommand" || verb === "executeShellCommand" || verb === "files") {
      const onDemand = verb !== "files" && isOnDemand(request);
      return this.#guest.handle(request, this.#sandboxes.running(group, id!, onDemand), verb, more[0]);
    }
    if (request.method === "POST" && (verb === "snapshot" || verb === "commit")) {
      const sandbox = this.#sandboxes.running(group, id!);
      if (verb === "snapshot") return this.#snapshots.create(request, group, sandbox);
      return this.#snapshots.commit(request, group, sandbox, imageView);
    }
    if (request.method === "POST" && verb === "volumes" && more[0] === "add") {
      return this.#volumes.add(request, group, this.#sandboxes.running(group, id!));
    }
    return this.#sandboxes.handle(request, group, id, verb, more[0]);
  }

  /** The group that a path lies in, and the words after it; refuses strangers as the service does. */
  open(request: WireRequest): { group: StoredGroup; parts: string[] } {
    if (request.apiVersion !== older && request.apiVersion !== newer) {
      throw new WireError(400, "UnsupportedApiVersion", `The api-version '${request.apiVersion}' is not supported.`);
    }
    const match = groupPattern.exec(request.path);
    const group = match && this.#control.groups.get(`${match[2]}/${decodeURIComponent(match[3]!)}`.toLowerCase());
    if (!group || match[1] !== this.#control.subscriptionId) {
      throw new WireError(404, "SandboxGroupNotFound", "The sandbox group was not found.");
    }
    return { group, parts: match[4]!.split("/").map(decodeURIComponent) };
  }

  /** The sandbox that a stream is for. */
  streamTarget(request: WireRequest) {
    const { group, parts } = this.open(request);
    return this.#sandboxes.running(group, parts[1]!);
  }
}

function isOnDemand(request: WireRequest): boolean {
  return (jsonOf(request) as { activationMode?: string } | null)?.activationMode === "OnDemand";
}
