import type { TokenSource } from "./azure/tokens";

/** Where sandboxes live and who asks. Plain data: it may be copied and compared, but `token` must not be logged. */
export interface Connection {
  /** `unix:/path` or `https://host:port`. */
  endpoint: string;
  token?: string;
  /** PEM text of the certificate authority to trust besides none other. */
  ca?: string;
  subscriptionId: string;
  resourceGroupName: string;
  /** Name of the sandbox group; callers that need one have their own default. */
  group?: string;
  /** Present where the endpoint is the control plane of an Azure cloud; absent: a self-hosted endpoint. */
  azure?: AzureAccess;
}

/** What it takes to speak with Azure, which has a plane of its own for the contents of groups. */
export interface AzureAccess {
  tokens: TokenSource;
  /** OAuth scopes of the two planes. */
  controlScope: string;
  dataScope: string;
  /** Domain that a data plane's address must lie in; undefined: any, for an own control plane. */
  dataPlaneDomain?: string;
}

/** The path of the socket of a `unix:` endpoint; undefined for `https:`. */
export function socketPathOf(endpoint: string): string | undefined {
  return endpoint.startsWith("unix:") ? endpoint.slice("unix:".length) : undefined;
}

/** Path of the group collection of the control plane. */
export function groupsPath(connection: Connection): string {
  return `${resourceGroupPath(connection)}/providers/Microsoft.App/sandboxGroups`;
}

/** Path of one group on the data plane, which has no `/providers/…`. */
export function groupDataPath(connection: Connection, group: string): string {
  return `${resourceGroupPath(connection)}/sandboxGroups/${encodeURIComponent(group)}`;
}

function resourceGroupPath({ subscriptionId, resourceGroupName }: Connection): string {
  return `/subscriptions/${encodeURIComponent(subscriptionId)}/resourceGroups/${encodeURIComponent(resourceGroupName)}`;
}
