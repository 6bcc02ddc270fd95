export { isSandboxesError, SandboxesError } from "./client/errors";
export { DiskImage, type DiskImageArgs } from "./pulumi/classes/diskImage";
export type { EgressArgs, EgressHeader, EgressHostRule, EgressRule } from "./pulumi/classes/egressArgs";
export { EgressPolicy, type EgressPolicyArgs } from "./pulumi/classes/egressPolicy";
export type { PortArgs, PortIdentities } from "./pulumi/classes/portArgs";
export { Sandbox, type SandboxArgs } from "./pulumi/classes/sandbox";
export { SandboxGroup, type SandboxGroupArgs } from "./pulumi/classes/sandboxGroup";
export { Secret, type SecretArgs } from "./pulumi/classes/secret";
