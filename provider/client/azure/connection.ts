import type { Connection } from "../connection";
import { SandboxesError } from "../errors";
import { cloudOf, dataScope } from "./clouds";
import { openCredential } from "./credential";
import { type AzureSettings, variablesOf } from "./settings";
import { CachedTokens, type TokenSource } from "./tokens";

export interface AzureConnectionOptions {
  settings: AzureSettings;
  /** PEM text; trusted for a cloud of one's own, never for Microsoft's. */
  ca?: string;
  subscriptionId?: string;
  resourceGroupName?: string;
  group?: string;
  /** In place of the settings' credentials. */
  tokens?: TokenSource;
}

/** The connection to an Azure cloud. Asks nothing: the first request signs in, and connections may share their tokens. */
export function azureConnection(options: AzureConnectionOptions): Connection {
  const { settings, resourceGroupName, group } = options;
  const subscriptionId = options.subscriptionId ?? settings.subscriptionId;
  if (!subscriptionId) throw missing("subscriptionId", ["sandboxes:subscriptionId", ...variablesOf("subscriptionId")]);
  if (!resourceGroupName) throw missing("resourceGroupName", ["sandboxes:resourceGroupName"]);
  const cloud = cloudOf(settings);
  const ca = cloud.name === "own" ? options.ca : undefined;
  return {
    endpoint: cloud.endpoint,
    ca,
    subscriptionId,
    resourceGroupName,
    group,
    azure: {
      tokens: options.tokens ?? azureTokens(settings, ca),
      controlScope: cloud.controlScope,
      dataScope,
      dataPlaneDomain: cloud.dataPlaneDomain,
    },
  };
}

/** Tokens by the settings' credentials, to be shared by all connections of a process. */
export function azureTokens(settings: AzureSettings, ca?: string): TokenSource {
  let opened: ReturnType<typeof openCredential> | undefined;
  return new CachedTokens(() => {
    opened ??= openCredential(settings, ca);
    // A certificate that was not there may be there next time.
    opened.catch(() => {
      opened = undefined;
    });
    return opened;
  });
}

function missing(name: string, places: readonly string[]): SandboxesError {
  return new SandboxesError("Invalid", `The target azure needs ${name}`, {
    field: name,
    hint: `set it as ${places.join(" or ")}`,
  });
}
