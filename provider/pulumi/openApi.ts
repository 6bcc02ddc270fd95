import { azureConnection, azureTokens } from "../client/azure/connection";
import type { TokenSource } from "../client/azure/tokens";
import { resolveConnection } from "../client/resolveConnection";
import { SandboxApi } from "../client/sandboxApi";
import type { ProviderConfig } from "./providerConfig";
import type { OpenApi } from "./session";

/** One sign-in for all scopes of a configuration. */
const tokens = new WeakMap<ProviderConfig, TokenSource>();

/** Opens what the configuration names: Azure with its credentials, a self-hosted endpoint, or the embedded host. */
export const openApi: OpenApi = async (config, scope, target) => {
  const { endpoint, token, caCertificate: ca, dataDir, apiVersion } = config;
  const resourceGroupName = scope.resourceGroupName ?? config.resourceGroupName;
  if (target === "azure") {
    const shared = tokens.get(config) ?? azureTokens(config.azure, ca);
    tokens.set(config, shared);
    const { subscriptionId } = scope;
    const options = { settings: config.azure, ca, subscriptionId, resourceGroupName, tokens: shared };
    return new SandboxApi(azureConnection(options), { apiVersion });
  }
  const subscriptionId = scope.subscriptionId ?? config.subscriptionId;
  const connection = await resolveConnection({ endpoint, token, ca, dataDir, subscriptionId, resourceGroupName });
  return new SandboxApi(connection, { apiVersion });
};
