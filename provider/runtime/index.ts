export { type ErrorCode, isSandboxesError, SandboxesError } from "../client/errors";
export type { ExecExit } from "../client/execExit";
export type { Isolation } from "../client/wire/groups";
export type { AzureSource } from "./azureSource";
export type {
  BackgroundProcess,
  BackgroundProcesses,
  OutputPiece,
  ReadOutputOptions,
  StartOptions,
} from "./background";
export { type ConnectOptions, connect } from "./connect";
export type { Command, ExecOptions, ExecResult, StdinSource } from "./exec";
export { ExecFailure } from "./execFailure";
export type { FileInfo, RemoveOptions, SandboxFiles, WriteFileOptions } from "./files";
export type { AzureSandboxOptions, CopySandboxOptions, CreateSandboxOptions, Group, ListOptions } from "./group";
export type { Lifecycle } from "./lifecycle";
export type { Egress, EgressDecision, PortOptions, PortSpec } from "./network";
export type { SandboxProcess, SpawnOptions, TerminalSize } from "./process";
export type { Resources, Sandbox, SandboxState } from "./sandbox";
export type { Snapshot } from "./snapshot";
export type { TransferOptions, TransferResult } from "./transfer";
