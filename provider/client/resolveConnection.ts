import { readFile } from "node:fs/promises";
import { isAbsolute } from "node:path";
import { azureConnection } from "./azure/connection";
import { readAzureSettings } from "./azure/settings";
import { CachedTokens, type Credential } from "./azure/tokens";
import { type Connection, socketPathOf } from "./connection";
import { ensureEmbeddedHost } from "./embeddedHost";
import { SandboxesError } from "./errors";
import { localResourceGroupName, localSubscriptionId } from "./localNames";

export interface ConnectionOptions {
  /** `azure` takes credentials as azure-native does, from `ARM_*` and `AZURE_*`. Default `SANDBOXES_TARGET`, microvm. */
  target?: "microvm" | "azure";
  /** For the target azure, in place of those of the environment: a credential of `@azure/identity`, say. */
  credential?: Credential;
  endpoint?: string;
  token?: string;
  ca?: string;
  subscriptionId?: string;
  resourceGroupName?: string;
  /** A name, or the whole ARM id of a group, which then also names subscription and resource group. */
  group?: string;
  /** Data directory of the embedded host; used only without an endpoint. */
  dataDir?: string;
  signal?: AbortSignal;
}

/**
 * Fills what the options leave open from `SANDBOXES_ENDPOINT`, `_TOKEN`, `_CA_FILE`, `_GROUP`, `_TARGET`, `_DATA_DIR`. Without
 * any endpoint it starts the embedded host of the data directory, or finds it running.
 */
export async function resolveConnection(
  options: ConnectionOptions = {},
  environment: NodeJS.ProcessEnv = process.env,
): Promise<Connection> {
  const group = readGroup(options.group ?? nonEmpty(environment.SANDBOXES_GROUP));
  if ((options.target ?? environment.SANDBOXES_TARGET) === "azure") return azureOf(options, group, environment);
  const given = options.endpoint ?? nonEmpty(environment.SANDBOXES_ENDPOINT);
  const endpoint = given === undefined ? await embeddedEndpoint(options, environment) : checkEndpoint(given);
  const caFile = nonEmpty(environment.SANDBOXES_CA_FILE);
  return {
    endpoint,
    token: options.token ?? nonEmpty(environment.SANDBOXES_TOKEN),
    ca: options.ca ?? (caFile && !endpoint.startsWith("unix:") ? await readCa(caFile) : undefined),
    subscriptionId: options.subscriptionId ?? group.subscriptionId ?? localSubscriptionId,
    resourceGroupName: options.resourceGroupName ?? group.resourceGroupName ?? localResourceGroupName,
    group: group.name,
  };
}

function checkEndpoint(endpoint: string): string {
  const path = socketPathOf(endpoint);
  if (path !== undefined && isAbsolute(path)) return endpoint;
  if (path === undefined && URL.canParse(endpoint)) {
    const url = new URL(endpoint);
    if (url.protocol === "https:" && !url.username && !url.search) return endpoint.replace(/\/+$/, "");
  }
  // The text may hold a password (https://user:secret@…), so it is not repeated.
  throw new SandboxesError("Invalid", "The endpoint is neither a unix socket nor an https address", {
    field: "endpoint",
    hint: "write unix:/absolute/path or https://host:port",
  });
}

interface GroupRef {
  name?: string;
  subscriptionId?: string;
  resourceGroupName?: string;
}

function readGroup(given: string | undefined): GroupRef {
  if (!given?.startsWith("/")) return { name: given };
  const pattern =
    /^\/subscriptions\/([^/]+)\/resourceGroups\/([^/]+)\/(?:providers\/Microsoft\.App\/)?sandboxGroups\/([^/]+)$/i;
  const match = pattern.exec(given);
  if (match) return { subscriptionId: match[1], resourceGroupName: match[2], name: match[3] };
  throw new SandboxesError("Invalid", `"${given}" is not the id of a sandbox group`, {
    field: "group",
    hint: "give a name, or /subscriptions/…/resourceGroups/…/providers/Microsoft.App/sandboxGroups/NAME",
  });
}

async function azureOf(
  options: ConnectionOptions,
  group: GroupRef,
  environment: NodeJS.ProcessEnv,
): Promise<Connection> {
  const { credential } = options;
  const caFile = nonEmpty(environment.SANDBOXES_CA_FILE);
  return azureConnection({
    settings: readAzureSettings(() => undefined, environment),
    ca: options.ca ?? (caFile && (await readCa(caFile))),
    subscriptionId: options.subscriptionId ?? group.subscriptionId,
    resourceGroupName: options.resourceGroupName ?? group.resourceGroupName,
    group: group.name,
    tokens: credential && new CachedTokens(async () => credential),
  });
}

async function embeddedEndpoint(options: ConnectionOptions, environment: NodeJS.ProcessEnv): Promise<string> {
  const dataDir = options.dataDir ?? nonEmpty(environment.SANDBOXES_DATA_DIR);
  return (await ensureEmbeddedHost({ dataDir, signal: options.signal })).endpoint;
}

async function readCa(file: string): Promise<string> {
  try {
    return await readFile(file, "utf8");
  } catch (cause) {
    throw new SandboxesError("Invalid", `Cannot read the certificate file "${file}" of SANDBOXES_CA_FILE`, { cause });
  }
}

function nonEmpty(text: string | undefined): string | undefined {
  return text === "" ? undefined : text;
}
