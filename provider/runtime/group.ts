import type { CallOptions } from "../client/http";
import type { SandboxApi } from "../client/sandboxApi";
import type { GroupView, Isolation } from "../client/wire/groups";
import { type AzureSource, azureSourceContent } from "./azureSource";
import { ImageSources } from "./imageSource";
import { type Lifecycle, lifecycleContent } from "./lifecycle";
import { type Egress, egressContent, type PortSpec, portContent } from "./network";
import { type Resources, Sandbox } from "./sandbox";
import { Snapshot } from "./snapshot";

interface SandboxSettings extends CallOptions {
  /** Values of at most 63 characters. */
  labels?: Record<string, string>;
  /** Ports that programs in it will listen on; `sandbox.openPort` tells the address of each. */
  ports?: PortSpec[];
  /** What may leave it. Default: nothing, on a host; on Azure everything. */
  egress?: Egress;
  /** Default: nothing happens by itself, on a host; Azure stops it after 300 idle seconds. */
  lifecycle?: Lifecycle;
}

export interface CreateSandboxOptions extends SandboxSettings {
  /**
   * A public name (`python`), the id of a disk image, or a reference (`python:3.12`, `docker-archive:/file`) that is
   * imported as a disk image of the group unless it has been before.
   */
  image: string;
  /** Default: 1 processor, 512 MiB of memory (on Azure 2 GiB, which goes with it), 10 GiB of disk. */
  resources?: Partial<Resources>;
  /** For every program in it, besides the image's own. Write-only: it cannot be read back. */
  env?: Record<string, string>;
  /** What an import says it does, if one is needed. */
  onProgress?: (message: string) => void;
}

/** Size, environment and running programs are the snapshot's. */
export interface CopySandboxOptions extends SandboxSettings {
  /** Or its id. */
  snapshot: Snapshot | string;
}

/** On Azure only. */
export interface AzureSandboxOptions extends SandboxSettings, AzureSource {}

export interface ListOptions extends CallOptions {
  /** Only sandboxes that carry all of these. */
  labels?: Record<string, string>;
}

const defaultResources: Resources = { cpu: "1000m", memory: "512Mi" };
const azuresResources: Resources = { cpu: "1000m", memory: "2048Mi" };

/** A sandbox group: what `connect` gives, and where sandboxes are made. */
export class Group {
  readonly name: string;
  /** ARM id. */
  readonly id: string;
  /** What its sandboxes are separated by; undefined where the service does not tell (Azure). */
  readonly isolation: Isolation | undefined;
  readonly #api: SandboxApi;
  readonly #images: ImageSources;
  readonly #defaults: Resources;

  constructor(api: SandboxApi, view: GroupView) {
    this.#api = api;
    this.#defaults = api.connection.azure ? azuresResources : defaultResources;
    this.name = view.name;
    this.id = view.id;
    this.isolation = view.properties.isolation;
    this.#images = new ImageSources(api.group(view.name).diskImages);
  }

  /** Resolves when programs can run in it. The caller deletes it, or has `await using` do so. */
  async createSandbox(options: CreateSandboxOptions | CopySandboxOptions | AzureSandboxOptions): Promise<Sandbox> {
    const { labels, ports, egress, lifecycle, signal } = options;
    const api = this.#api.group(this.name);
    const content = {
      ...(await this.#sourceContent(options)),
      labels,
      ports: ports?.map(portContent),
      egressPolicy: egress && egressContent(egress),
      lifecycle: lifecycle && lifecycleContent(lifecycle),
    };
    return new Sandbox(api, await api.sandboxes.create(content, { signal }));
  }

  /** Rejects with `SandboxNotFound` when there is none of that id. */
  async getSandbox(id: string, options: CallOptions = {}): Promise<Sandbox> {
    const api = this.#api.group(this.name);
    return new Sandbox(api, await api.sandboxes.get(id, options));
  }

  /** All sandboxes of the group, stopped ones too. */
  async *listSandboxes(options: ListOptions = {}): AsyncGenerator<Sandbox> {
    const api = this.#api.group(this.name);
    for await (const view of api.sandboxes.each(options)) yield new Sandbox(api, view);
  }

  /** Rejects with `NotFound` when there is none of that id. */
  async getSnapshot(id: string, options: CallOptions = {}): Promise<Snapshot> {
    const { snapshots } = this.#api.group(this.name);
    return new Snapshot(snapshots, await snapshots.get(id, options));
  }

  async *listSnapshots(options: ListOptions = {}): AsyncGenerator<Snapshot> {
    const { snapshots } = this.#api.group(this.name);
    for await (const view of snapshots.each(options)) yield new Snapshot(snapshots, view);
  }

  /** Lets running calls end and closes the connections; sandboxes go on. Only for those who want to wait for it. */
  close(): Promise<void> {
    return this.#api.close();
  }

  async #sourceContent(options: CreateSandboxOptions | CopySandboxOptions | AzureSandboxOptions) {
    if ("snapshot" in options) return copyContent(options);
    return "image" in options ? this.#imageContent(options) : azureSourceContent(options);
  }

  async #imageContent({ image, resources, env, signal, onProgress }: CreateSandboxOptions) {
    const sourcesRef = await this.#images.resolve(image, { signal, onProgress });
    return { sourcesRef, resources: { ...this.#defaults, ...resources }, environment: env };
  }
}

function copyContent({ snapshot }: CopySandboxOptions) {
  return { sourcesRef: { snapshot: { id: typeof snapshot === "string" ? snapshot : snapshot.id } } };
}
