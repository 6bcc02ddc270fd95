import type { Agent } from "undici";
import { createSlots, type Slots } from "../slots";
import { type Connection, groupDataPath } from "./connection";
import { DiskImagesApi } from "./diskImages";
import { EgressPoliciesApi } from "./egress";
import { FilesApi } from "./files";
import { SecretsApi } from "./groupSecrets";
import { GroupsApi } from "./groups";
import { agentFor, type CallOptions, HttpClient, type HttpOptions } from "./http";
import type { Planes } from "./plane";
import { openPlanes } from "./planes";
import { SandboxesApi } from "./sandboxes";
import { SnapshotsApi } from "./snapshots";
import { VolumesApi } from "./volumes";
import { type GarbageView, garbageView } from "./wire/garbage";
import { type HostStatusView, hostStatusView } from "./wire/status";

/** Enough to keep a host or a group on Azure busy; what is beyond only waits there, or is throttled. */
const defaultCreations = 16;
const gcTimeoutMs = 10 * 60_000;

/** Everything a sandbox endpoint can be asked, over one set of connections. Idle ones keep no process alive. */
export class SandboxApi {
  readonly connection: Connection;
  readonly groups: GroupsApi;
  readonly #agent: Agent;
  readonly #planes: Planes;
  readonly #http: HttpClient;
  readonly #creations: Slots;

  constructor(connection: Connection, options: HttpOptions = {}) {
    this.connection = connection;
    this.#agent = agentFor(connection);
    this.#creations = createSlots(options.creations ?? defaultCreations);
    const endpointOf = async (group: string, signal?: AbortSignal) => this.groups.dataPlaneEndpoint(group, { signal });
    this.#planes = openPlanes(connection, options, endpointOf);
    this.#http = new HttpClient(connection, this.#planes.control, this.#agent);
    this.groups = new GroupsApi(this.#http);
  }

  /** The data plane of one group; asks nothing by itself. */
  group(name: string): GroupApi {
    const http = new HttpClient(this.connection, this.#planes.data(name), this.#agent);
    return new GroupApi(http, groupDataPath(this.connection, name), this.#creations);
  }

  /** Self-hosted only: accelerator, isolation, counts. */
  status({ signal }: CallOptions = {}): Promise<HostStatusView> {
    const request = { method: "GET", path: "/status", action: "read the host's status", signal } as const;
    return this.#http.json(hostStatusView, request);
  }

  /** Self-hosted only: removes what the host keeps and nothing uses; with `dryRun` tells what that is. */
  collectGarbage({ dryRun = false, signal }: CallOptions & { dryRun?: boolean } = {}): Promise<GarbageView> {
    const action = "collect the host's garbage";
    // Removing some hundred images takes its time.
    const request = { method: "POST", path: "/gc", json: { dryRun }, action, timeoutMs: gcTimeoutMs, signal } as const;
    return this.#http.json(garbageView, request);
  }

  /** Lets running requests end. Repeatable. */
  async close(): Promise<void> {
    if (!this.#agent.closed) await this.#agent.close();
  }
}

/** What can be done within one group. */
export class GroupApi {
  readonly diskImages: DiskImagesApi;
  readonly sandboxes: SandboxesApi;
  readonly files: FilesApi;
  readonly snapshots: SnapshotsApi;
  readonly secrets: SecretsApi;
  readonly egressPolicies: EgressPoliciesApi;
  readonly volumes: VolumesApi;

  constructor(http: HttpClient, path: string, creations: Slots) {
    this.diskImages = new DiskImagesApi(http, path);
    this.sandboxes = new SandboxesApi(http, path, creations);
    this.files = new FilesApi(http, (id) => this.sandboxes.path(id));
    this.snapshots = new SnapshotsApi(http, path, (id) => this.sandboxes.path(id));
    this.secrets = new SecretsApi(http, path);
    this.egressPolicies = new EgressPoliciesApi(http, path);
    this.volumes = new VolumesApi(http, path);
  }
}
