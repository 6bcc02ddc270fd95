import { type AzureSettings, readAzureSettings } from "../client/azure/settings";
import { SandboxesError } from "../client/errors";
import { registerSecret } from "../client/secrets";
import { defaultApiVersion, newerDataPlaneVersion } from "../client/wire/versions";

/** Where sandboxes run: on a self-hosted endpoint, or on Azure. */
export const targets = ["microvm", "azure"] as const;
export type Target = (typeof targets)[number];

const apiVersions = [defaultApiVersion, newerDataPlaneVersion] as const;

const texts = [
  "endpoint",
  "token",
  "caCertificate",
  "dataDir",
  "subscriptionId",
  "resourceGroupName",
  "location",
] as const;

/** The provider's configuration, `sandboxes:*`. Holds secrets, which are struck out of all messages. */
export interface ProviderConfig extends Partial<Record<(typeof texts)[number], string>> {
  target: Target;
  apiVersion: (typeof apiVersions)[number];
  /** For the target azure: `sandboxes:*`, else `azure-native:*`, else the environment. */
  azure: AzureSettings;
}

/** Reads the configuration through a look-up by full key, `sandboxes:target`. */
export function readProviderConfig(
  get: (key: string) => string | undefined,
  environment: NodeJS.ProcessEnv = process.env,
): ProviderConfig {
  const given: Partial<Record<(typeof texts)[number], string>> = {};
  for (const key of texts) {
    const value = get(`sandboxes:${key}`);
    if (value) given[key] = value;
  }
  const azure = readAzureSettings((name) => get(`sandboxes:${name}`) || get(`azure-native:${name}`), environment);
  registerSecret(given.token);
  const target = oneOf(targets, "target", get);
  const apiVersion = oneOf(apiVersions, "apiVersion", get);
  const location = given.location ?? (target === "azure" ? get("azure-native:location") : undefined);
  return { ...given, target, apiVersion, location, azure };
}

/** The first where none is given. Which one was given is not repeated: a text may be misplaced. */
function oneOf<T extends string>(
  known: readonly [T, ...T[]],
  key: string,
  get: (key: string) => string | undefined,
): T {
  const given = get(`sandboxes:${key}`) || known[0];
  const found = known.find((value) => value === given);
  if (found) return found;
  throw new SandboxesError("Invalid", `The configuration "sandboxes:${key}" has a value that is not known`, {
    field: `sandboxes:${key}`,
    hint: `run \`pulumi config set sandboxes:${key} ${known[0]}\` (or ${known.slice(1).join(", ")})`,
  });
}
