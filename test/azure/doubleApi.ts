import { azureConnection, azureTokens } from "../../provider/client/azure/connection";
import { readAzureSettings } from "../../provider/client/azure/settings";
import { fixedToken, type TokenSource } from "../../provider/client/azure/tokens";
import type { HttpOptions } from "../../provider/client/http";
import { SandboxApi } from "../../provider/client/sandboxApi";
import { type AzureDouble, controlAudience } from "./double/azureDouble";

/** Milliseconds where the real ones are seconds. */
export const quick: HttpOptions = {
  retry: { attempts: 6, budgetMs: 60_000, baseMs: 2, maxMs: 10 },
  roleRetry: { attempts: 200, budgetMs: 60_000, baseMs: 5, maxMs: 20 },
};

/** A client of the double whose tokens come without signing in. */
export function doubleApi(double: AzureDouble, options: HttpOptions = {}, group?: string): SandboxApi {
  const { ca, resourceGroup: resourceGroupName, subscriptionId } = double;
  const settings = readAzureSettings((name) => double.cloud()[name], {});
  const connection = azureConnection({
    settings,
    ca,
    resourceGroupName,
    subscriptionId,
    group,
    tokens: issued(double),
  });
  return new SandboxApi(connection, { ...quick, ...options });
}

/** A client of the double that signs in with a client secret. */
export function signedInApi(double: AzureDouble, settings: Record<string, string> = {}): SandboxApi {
  const read = readAzureSettings((name) => ({ ...double.settings(), ...settings })[name], {});
  const tokens = azureTokens(read, double.ca);
  const { ca, resourceGroup: resourceGroupName } = double;
  return new SandboxApi(azureConnection({ settings: read, ca, resourceGroupName, tokens }), quick);
}

function issued(double: AzureDouble): TokenSource {
  const control = fixedToken(double.tokens.issue(controlAudience));
  const data = fixedToken(double.tokens.issue("https://dynamicsessions.io"));
  return { get: (scope) => (scope.startsWith(controlAudience) ? control : data).get(scope), forget: () => false };
}
