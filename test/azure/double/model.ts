import type { FolderVm } from "../../host/fakes/machines";

export type StoredPort = { port: number } & Record<string, unknown>;

/** What the double keeps of a sandbox. */
export interface StoredSandbox {
  id: string;
  labels: Record<string, string>;
  sourcesRef: object;
  resources: { cpu: string; memory: string; disk: string };
  entrypoint?: string[];
  environment: Record<string, string>;
  lifecycle: object;
  ports: StoredPort[];
  egressPolicy?: object;
  egressPolicyId?: string;
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
}

export interface StoredGroup {
  name: string;
  resourceGroup: string;
  location: string;
  tags: Record<string, string>;
  identity?: object;
  environmentId?: string;
  provisioningState: string;
  /** `performance.now()` from which on the data plane knows the caller's role. */
  roleFrom: number;
  sandboxes: Map<string, StoredSandbox>;
  images: Map<string, StoredImage>;
  secrets: Map<string, Record<string, string>>;
  egressPolicies: Map<string, object>;
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
  /** Whether a PUT names its operation in a header; without one the client looks at the group. */
  operationHeader: boolean;
  /** Errors of the next operations, first one first; undefined: it succeeds. */
  operationErrors: ({ code: string; message: string } | undefined)[];
  /** GETs of a stopping sandbox that say "Stopping". */
  stopPolls: number;
  /** GETs of a new sandbox that say "Creating". */
  createPolls: number;
  /** GETs of a new sandbox that do not find it. */
  hiddenGets: number;
  /** GETs of a new image that say "Building". */
  buildPolls: number;
  /** How long a new group's data plane does not know the caller's role. */
  roleDelayMs: number;
}

export const promptPace: Pace = {
  operationPolls: 1,
  operationRetryAfter: undefined,
  operationHeader: true,
  operationErrors: [],
  stopPolls: 1,
  createPolls: 0,
  hiddenGets: 0,
  buildPolls: 1,
  roleDelayMs: 0,
};
