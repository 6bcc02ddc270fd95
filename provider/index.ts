export { isSandboxesError, SandboxesError } from "./client/errors";
export { DiskImage, type DiskImageArgs } from "./pulumi/classes/diskImage";
export type {
  EgressArgs,
  EgressHeader,
  EgressHook,
  EgressHostRule,
  EgressIdentityRef,
  EgressProxy,
  EgressRule,
  EgressSecretRef,
} from "./pulumi/classes/egressArgs";
export { EgressPolicy, type EgressPolicyArgs } from "./pulumi/classes/egressPolicy";
export type { LifecycleArgs } from "./pulumi/classes/lifecycleArgs";
export type { ContentPackageDownload, PodArgs, PodContainerArgs, PodVolume } from "./pulumi/classes/podArgs";
export type { PortArgs, PortIdentities } from "./pulumi/classes/portArgs";
export { Sandbox, type SandboxArgs } from "./pulumi/classes/sandbox";
export { SandboxGroup, type SandboxGroupArgs } from "./pulumi/classes/sandboxGroup";
export { Secret, type SecretArgs } from "./pulumi/classes/secret";
export { Snapshot, type SnapshotArgs } from "./pulumi/classes/snapshot";
export type { TelemetryConfig, TelemetryEndpoint } from "./pulumi/classes/telemetryArgs";
export { VnetConnection, type VnetConnectionArgs } from "./pulumi/classes/vnetConnection";
export { Volume, type VolumeArgs } from "./pulumi/classes/volume";
export type { VolumeMountArgs } from "./pulumi/classes/volumeMountArgs";
