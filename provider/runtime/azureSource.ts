import { registerSecret } from "../client/secrets";
import type { ArtifactVersion, PodSource } from "../client/wire/pods";
import type { CreateSandboxContent } from "../client/wire/sandboxes";
import type { Resources } from "./sandbox";

/** What only Azure makes sandboxes from; a host refuses it with `Unsupported`. One of the first three. */
export interface AzureSource {
  /** A coding agent that Azure has prepared. */
  preset?: "Claude" | "GitHubCopilot";
  /** A version of an artifact, and the identity that reads it. */
  artifactVersion?: ArtifactVersion;
  /** Several containers, in the words of Azure's API. */
  pod?: PodSource;
  /** Of the preset `Claude`. */
  anthropicApiKey?: string;
  /** Default: as large as Azure makes it. */
  resources?: Resources;
  /** For every program in it. Write-only: it cannot be read back. */
  env?: Record<string, string>;
}

/** For the wire. */
export function azureSourceContent(source: AzureSource): CreateSandboxContent {
  const { preset, artifactVersion, pod, anthropicApiKey, resources, env } = source;
  registerSecret(anthropicApiKey);
  return {
    ...(preset ? { presetSandboxType: preset, anthropicApiKey } : { sourcesRef: { artifactVersion, pod } }),
    resources,
    environment: env,
  };
}
