export { isSandboxesError, SandboxesError } from "./client/errors";
export { DiskImage, type DiskImageArgs } from "./pulumi/classes/diskImage";
export { Sandbox, type SandboxArgs } from "./pulumi/classes/sandbox";
export { SandboxGroup, type SandboxGroupArgs } from "./pulumi/classes/sandboxGroup";
export { Secret, type SecretArgs } from "./pulumi/classes/secret";
