import { SandboxesError } from "../../client/errors";

/** What a sandbox on Azure can have and one on this host cannot, with the reason. */
const properties: Record<string, string> = {
  presetSandboxType: "presets are images of Azure's; make a disk image of what you want to run",
  presetProperties: "presets are images of Azure's; make a disk image of what you want to run",
  anthropicApiKey: "presets are images of Azure's; give the sandbox the key by its environment or an egress rule",
  connections: "connectors are services of Azure",
  gatewayConnections: "connector gateways are services of Azure",
  credentialRefs: "credentials are for Azure's presets; give the sandbox a token by an egress rule and a secret",
  contentPackageDownloads: "content packages are kept by Azure; make a disk image, or write files",
  vnetConnectionName: "this host is one machine outside of Azure, without a VNet",
  customerVnetConnectionName: "this host is one machine outside of Azure, without a VNet",
  identitySettings: "managed identities exist on Azure only",
  agentIdentity: "agent identities exist on Azure only",
  telemetryConfig: "this host sends telemetry nowhere; read its log, stats and metrics",
  projectId: "projects exist on Azure only; use labels",
  skipEgressProxy: "all that leaves a sandbox passes the host's proxy",
};

/**
 * Refuses with `Unsupported` what only Azure can do: a sandbox without it would be another than was asked for. What
 * means nothing (null, an empty list, `None`, false) is let pass.
 */
export function refuseAzureOnly(body: Record<string, unknown>): void {
  for (const [field, reason] of Object.entries(properties)) {
    if (saysSomething(body[field])) throw unsupported(field, reason);
  }
  const source = (body.sourcesRef ?? {}) as Record<string, unknown>;
  for (const kind of ["pod", "artifactVersion"]) {
    if (saysSomething(source[kind])) {
      throw unsupported(`sourcesRef.${kind}`, "a sandbox is made from one disk image or snapshot");
    }
  }
  const { vmmType } = body;
  if (saysSomething(vmmType) && vmmType !== "qemu") {
    throw unsupported("vmmType", `sandboxes run under qemu, not "${vmmType}"; leave it out`);
  }
}

/** The same for a group. */
export function refuseAzureOnlyOfGroup(body: {
  identity?: { type: string } | null;
  properties?: Record<string, unknown> | null;
}): void {
  if (body.identity && body.identity.type !== "None") {
    throw unsupported(
      "identity",
      "managed identities exist on Azure only; give registry credentials to disk images, and secrets to egress rules",
    );
  }
  if (saysSomething(body.properties?.environmentId)) {
    throw unsupported("properties.environmentId", "managed environments exist on Azure only");
  }
}

/** The same for a disk image; the body as it came, of either api-version. */
export function refuseAzureOnlyOfImage(body: unknown): void {
  const { managedIdentityResourceId, dockerfileContent, vnetConnectionName, source } = recordOf(body);
  const { kind, authentication } = recordOf(source);
  const identity = "managed identities exist on Azure only; give registryCredentials";
  if (saysSomething(managedIdentityResourceId)) throw unsupported("managedIdentityResourceId", identity);
  if (saysSomething(recordOf(authentication).identity)) throw unsupported("source.authentication.identity", identity);
  if (saysSomething(dockerfileContent)) {
    throw unsupported("dockerfileContent", "it builds no images; push one to a registry, or commit a sandbox");
  }
  if (saysSomething(vnetConnectionName))
    throw unsupported("vnetConnectionName", properties.vnetConnectionName as string);
  if (saysSomething(kind) && kind !== "registry") {
    throw unsupported("source.kind", `images come from registries, not from "${kind}"`);
  }
}

function recordOf(value: unknown): Record<string, unknown> {
  return typeof value === "object" && value !== null ? (value as Record<string, unknown>) : {};
}

function unsupported(field: string, reason: string): SandboxesError {
  return new SandboxesError("Unsupported", `This host cannot honour "${field}": ${reason}`, { field });
}

function saysSomething(value: unknown): boolean {
  if (value === undefined || value === null || value === "" || value === "None" || value === false) return false;
  return typeof value !== "object" || Object.keys(value).length > 0;
}
