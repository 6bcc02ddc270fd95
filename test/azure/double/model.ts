import type { EgressPolicy } from "../../../provider/client/wire/egress";
import type { GroupPut } from "../../../provider/client/wire/groups";
import type { LifecyclePolicy } from "../../../provider/client/wire/sandboxes";
import type { SandboxVolume } from "../../../provider/client/wire/volumes";
import type { FolderVm } from "../../host/fakes/machines";

export type StoredPort = { port: number } & Record<string, unknown>;

export interface StoredResources {
  cpu: string;
  memory: string;
  disk: string;
}

/** What the double keeps of a sandbox. */
export interface StoredSandbox {
  id: string;
  labels: Record<string, string>;
  sourcesRef: object;
  resources: StoredResources;
  entrypoint?: string[];
  environment: Record<string, string>;
  lifecycle: LifecyclePolicy;
  ports: StoredPort[];
  egressPolicy?: EgressPolicy;
  egressPolicyId?: string;
  volumes: SandboxVolume[];
  /** Whatever else was asked for and is shown as it came. */
  more: Record<string, unknown>;
  createdAt: string;
  state: string;
  stateDetails?: { stoppedReason: string; stoppedAt: string };
  snapshotId?: string;
  /** GETs that still find it on its way to `settlesTo`. */
  pollsLeft: number;
  settlesTo?: string;
  /** GETs that do not find it yet. */
  hiddenGets: number;
  vm: FolderVm;
}

export interface StoredImage {
  id: string;
  name?: string;
  labels: Record<string, string>;
  image: { base: string; entrypoint?: string[]; cmd?: string[] };
  state: string;
  errorMessage: string;
  createdAt: string;
  pollsLeft: number;
  sizeInMB: number;
  /** Of a committed one: what its sandboxes begin with. */
  folder?: string;
}

export interface StoredSnapshot {
  id: string;
  labels: Record<string, string>;
  sandboxId: string;
  createdAtUtc: string;
  resources: StoredResources;
  entrypoint?: string[];
  environment: Record<string, string>;
  folder: string;
}

export interface StoredVolume {
  volumeName: string;
  type: string;
  size?: string;
  labels: Record<string, string>;
  /** What only its type has, told as it came. */
  more: Record<string, unknown>;
  /** GETs that still say "Provisioning". */
  pollsLeft: number;
  folder: string;
}

export interface StoredConnection {
  name: string;
  subnetId: string;
  provisioningState: string;
}

export interface StoredGroup {
  name: string;
  resourceGroup: string;
  location: string;
  tags: Record<string, string>;
  identity?: NonNullable<GroupPut["identity"]>;
  environmentId?: string;
  provisioningState: string;
  /** `performance.now()` from which on the data plane knows the caller's role. */
  roleFrom: number;
  sandboxes: Map<string, StoredSandbox>;
  images: Map<string, StoredImage>;
  snapshots: Map<string, StoredSnapshot>;
  volumes: Map<string, StoredVolume>;
  secrets: Map<string, Record<string, string>>;
  egressPolicies: Map<string, object>;
  vnetConnections: Map<string, StoredConnection>;
}

export function emptyContent() {
  return {
    sandboxes: new Map<string, StoredSandbox>(),
    images: new Map<string, StoredImage>(),
    snapshots: new Map<string, StoredSnapshot>(),
    volumes: new Map<string, StoredVolume>(),
    secrets: new Map<string, Record<string, string>>(),
    egressPolicies: new Map<string, object>(),
    vnetConnections: new Map<string, StoredConnection>(),
  };
}

export interface StoredOperation {
  id: string;
  pollsLeft: number;
  /** Called once, when it ends. */
  finish(): void;
  ended: boolean;
  error?: { code: string; message: string };
}

/** How slow the double is, and what it refuses; a test sets what it needs. */
export interface Pace {
  /** Polls of an operation that say "InProgress". */
  operationPolls: number;
  /** Seconds in `Retry-After` of an operation; none: no header. */
  operationRetryAfter: number | undefined;
  /** Whether a PUT names its operation in a header; without one the client looks at what it put. */
  operationHeader: boolean;
  /** Errors of the next operations, first one first; undefined: it succeeds. */
  operationErrors: ({ code: string; message: string } | undefined)[];
  /** GETs of a stopping sandbox that say "Stopping". */
  stopPolls: number;
  /** State that a stop leads to: "Stopped", or "StopFailed". */
  stopsTo: string;
  /** GETs of a new sandbox that say "Creating". */
  createPolls: number;
  /** GETs of a new sandbox that do not find it. */
  hiddenGets: number;
  /** GETs of a new image that say "Building". */
  buildPolls: number;
  /** GETs of a new volume that say "Provisioning". */
  volumePolls: number;
  /** How long a new group's data plane does not know the caller's role. */
  roleDelayMs: number;
  /** Whether the data plane knows nobody to whom no role was assigned. */
  needsRole: boolean;
  /** How many requests of the data plane it carries out at the same time; more are throttled. */
  mostAtOnce: number;
  /** How long each of them takes. */
  workMs: number;
}

export const promptPace: Pace = {
  operationPolls: 1,
  operationRetryAfter: undefined,
  operationHeader: true,
  operationErrors: [],
  stopPolls: 1,
  stopsTo: "Stopped",
  createPolls: 0,
  hiddenGets: 0,
  buildPolls: 1,
  volumePolls: 0,
  roleDelayMs: 0,
  needsRole: false,
  mostAtOnce: Number.POSITIVE_INFINITY,
  workMs: 0,
};
