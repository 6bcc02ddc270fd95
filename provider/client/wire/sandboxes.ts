import { z } from "zod";
import { megabytes } from "./diskImages";
import { type EgressPolicyContent, egressPolicy } from "./egress";
import { isolation } from "./groups";
import { labels, labelsView } from "./labels";
import { pageOf } from "./paging";
import { type ArtifactVersion, artifactVersion, diskImageSource, type PodSource, podSource } from "./pods";
import { type CreatePort, createPort, portView } from "./ports";
import { cpuQuantity, sizeQuantity } from "./quantities";
import { type SandboxVolume, sandboxVolume } from "./volumes";

const argv = z.array(z.string());

/** Quantities are normalised: `{cpu: "0.5", memory: "2Gi"}` reads `{cpu: "500m", memory: "2048Mi"}`. */
export const sandboxResources = z.looseObject({
  cpu: cpuQuantity,
  memory: sizeQuantity,
  disk: sizeQuantity.nullish(),
});
export interface SandboxResources {
  cpu: string;
  memory: string;
  disk?: string | null;
}

/** Some clients send null for what they were not given. */
function given<T extends z.ZodType>(schema: T) {
  return schema.nullish().transform((value) => value ?? undefined);
}

/**
 * Exactly one member: a private image by id, a public one by name with `isPublic: true`, or a snapshot; on Azure also
 * several containers or an artifact.
 */
export const sandboxSource = z.looseObject({
  diskImage: diskImageSource.nullish(),
  snapshot: z.looseObject({ id: z.string() }).nullish(),
  pod: podSource.nullish(),
  artifactVersion: artifactVersion.nullish(),
});
export interface SandboxSource {
  diskImage?: { id?: string | null; name?: string | null; isPublic?: boolean | null } | null;
  snapshot?: { id: string } | null;
  pod?: PodSource | null;
  artifactVersion?: ArtifactVersion | null;
}

/** Azure's clients often send only the first half. */
export const lifecyclePolicy = z.looseObject({
  autoSuspendPolicy: z
    .looseObject({
      enabled: z.boolean(),
      /** Idle seconds. */
      interval: z.number().nullish(),
      /** `Memory` keeps processes, `Disk` restarts from disk, `None`. */
      mode: z.string().nullish(),
    })
    .nullish(),
  autoDeletePolicy: z
    .looseObject({
      enabled: z.boolean(),
      deleteIntervalInDays: z.number().nullish(),
      deleteIntervalInSeconds: z.number().nullish(),
      trigger: z.string().nullish(),
    })
    .nullish(),
});
export interface LifecyclePolicy {
  autoSuspendPolicy?: { enabled: boolean; interval?: number | null; mode?: string | null } | null;
  autoDeletePolicy?: {
    enabled: boolean;
    deleteIntervalInDays?: number | null;
    deleteIntervalInSeconds?: number | null;
    trigger?: string | null;
  } | null;
}

/** A managed identity of the group that programs may ask for tokens: `system`, or an ARM id. Azure only. */
const identitySetting = z.looseObject({ identity: z.string(), lifecycle: z.string().nullish() });
export interface IdentitySetting {
  identity: string;
  /** `None`, `Main`, `All`. */
  lifecycle?: string | null;
}

/** Files that Azure keeps, and where they are to be. */
const contentPackageDownload = z.looseObject({
  contentPackageId: z.string(),
  targetPath: z.string(),
  /** `Download`, `Mount`. */
  action: z.string().nullish(),
});
const strings = z.array(z.string());

/** What ties a sandbox to other services of Azure; both a creation and a view have it. */
const serviceShape = {
  /** `Claude`, `GitHubCopilot`, `None`. The newer data plane's views do not tell it. */
  presetSandboxType: z.string().nullish(),
  connections: strings.nullish(),
  gatewayConnections: z.array(z.looseObject({ resourceId: z.string() })).nullish(),
  credentialRefs: strings.nullish(),
  contentPackageDownloads: z.array(contentPackageDownload).nullish(),
  agentIdentity: z.looseObject({ tenantId: z.string(), agentId: z.string() }).nullish(),
  identitySettings: z.array(identitySetting).nullish(),
};
export interface AzureServices {
  presetSandboxType?: string | null;
  /** A secret, write-only. */
  anthropicApiKey?: string | null;
  presetProperties?: { isWorkIqConnectionEnabled?: boolean } | null;
  connections?: string[] | null;
  gatewayConnections?: { resourceId: string }[] | null;
  credentialRefs?: string[] | null;
  contentPackageDownloads?: { contentPackageId: string; targetPath: string; action?: string | null }[] | null;
  agentIdentity?: { tenantId: string; agentId: string } | null;
  identitySettings?: IdentitySetting[] | null;
  /** Write-only. */
  telemetryConfig?: object | null;
  projectId?: string | null;
}

const createShape = {
  ...serviceShape,
  anthropicApiKey: z.string().nullish(),
  presetProperties: z.looseObject({}).nullish(),
  telemetryConfig: z.looseObject({ endpoints: z.array(z.looseObject({ kind: z.string() })) }).nullish(),
  projectId: z.string().nullish(),
  sourcesRef: given(sandboxSource),
  resources: given(sandboxResources),
  labels: given(labels),
  /** Write-only: no view ever returns it. */
  environment: given(z.record(z.string(), z.string())),
  entrypoint: given(argv),
  cmd: given(argv),
  lifecycle: given(lifecyclePolicy),
  ports: z.array(createPort).nullish(),
  egressPolicy: egressPolicy.nullish(),
  /** Of a named policy of the group. */
  egressPolicyId: z.string().nullish(),
  volumes: z.array(sandboxVolume).nullish(),
};

/** `PUT` (older) or `POST` (newer data plane) `…/sandboxes`; unknown keys pass through. */
export const createSandboxContent = z.looseObject(createShape);
export interface CreateSandboxContent extends AzureServices {
  /** Left out where `presetSandboxType` says what it is. */
  sourcesRef?: SandboxSource;
  /** Azure's own SDK sends 1000m and 2048Mi. */
  resources?: SandboxResources;
  labels?: Record<string, string>;
  environment?: Record<string, string>;
  entrypoint?: string[];
  cmd?: string[];
  lifecycle?: LifecyclePolicy;
  ports?: CreatePort[];
  egressPolicy?: EgressPolicyContent;
  egressPolicyId?: string;
  volumes?: SandboxVolume[];
  /** Of the group; the client writes it as the version in use has it. Azure only. */
  vnetConnectionName?: string;
}

/** Extension, `PATCH …/sandboxes/{id}`: replaces the whole map of labels. */
export const updateSandboxContent = z.looseObject({ labels: labels.optional() });
export interface UpdateSandboxContent {
  labels?: Record<string, string>;
}

const viewShape = {
  id: z.string(),
  labels: labelsView,
  /** `Running`, `Stopped`, `Idle`, `Creating`, `Stopping`, `StopFailed`; also seen: `Suspended`, `Deleting`, `Failed`. */
  state: z.string(),
  stateDetails: z
    .looseObject({
      /** `Idle`, `UserStopped`, `Disabled`. */
      stoppedReason: z.string().nullish(),
      stoppedAt: z.string().nullish(),
    })
    .nullish(),
  sourcesRef: sandboxSource.nullish(),
  /** As the service says it, already normalised. */
  resources: z.looseObject({ cpu: z.string(), memory: z.string(), disk: z.string().nullish() }).nullish(),
  entrypoint: argv.nullish(),
  cmd: argv.nullish(),
  lifecycle: lifecyclePolicy.nullish(),
  ports: z.array(portView).nullish(),
  egressPolicy: egressPolicy.nullish(),
  egressPolicyId: z.string().nullish(),
  volumes: z.array(sandboxVolume).nullish(),
  /** The newer data plane's, and the older one's. */
  vnetConnectionName: z.string().nullish(),
  customerVnetConnectionName: z.string().nullish(),
  ...serviceShape,
  createdAt: z.string().nullish(),
  region: z.string().nullish(),
  hostname: z.string().nullish(),
  sandboxGroupId: z.string().nullish(),
  managementUrl: z.string().nullish(),
  snapshotId: z.string().nullish(),
  coldStorageSizeInMB: megabytes,
  /** Extension. */
  isolation: isolation.optional(),
};

/** A sandbox as read. Lists are absent or arrays, never null, in what we write. */
export const sandboxView = z.looseObject(viewShape);
export type SandboxView = z.output<z.ZodObject<typeof viewShape>>;
export const sandboxPage = pageOf(sandboxView);

/** Answer of `…/stop` on Azure: an implicit snapshot that no list shows. A host may answer 204 or `{}`. */
export const stopResult = z.looseObject({
  id: z.string().nullish(),
  sandboxId: z.string().nullish(),
  createdAtUtc: z.string().nullish(),
  sizeInMB: megabytes,
});
