import { z } from "zod";
import { type AzureSettings, readAzureSettings } from "../client/azure/settings";
import { SandboxesError } from "../client/errors";
import { registerSecret } from "../client/secrets";
import { defaultApiVersion, newerDataPlaneVersion } from "../client/wire/identifiers";

/** Where sandboxes run: on a self-hosted endpoint, or on Azure. */
export const targets = ["microvm", "azure"] as const;
export type Target = (typeof targets)[number];

const fields = {
  target: z.enum(targets).default("microvm"),
  endpoint: z.string().optional(),
  token: z.string().optional(),
  caCertificate: z.string().optional(),
  dataDir: z.string().optional(),
  subscriptionId: z.string().optional(),
  resourceGroupName: z.string().optional(),
  location: z.string().optional(),
  apiVersion: z.enum([defaultApiVersion, newerDataPlaneVersion]).default(defaultApiVersion),
};
const schema = z.object(fields);

/** The provider's configuration, `sandboxes:*`. Holds secrets, which are struck out of all messages. */
export type ProviderConfig = z.output<typeof schema> & {
  /** For the target azure: `sandboxes:*`, else `azure-native:*`, else the environment. */
  azure: AzureSettings;
};

/** Reads the configuration through a look-up by full key, `sandboxes:target`. */
export function readProviderConfig(
  get: (key: string) => string | undefined,
  environment: NodeJS.ProcessEnv = process.env,
): ProviderConfig {
  const raw = Object.fromEntries(Object.keys(fields).map((key) => [key, get(`sandboxes:${key}`) || undefined]));
  const azure = readAzureSettings((name) => get(`sandboxes:${name}`) || get(`azure-native:${name}`), environment);
  registerSecret(raw.token);
  const parsed = schema.safeParse(raw);
  if (!parsed.success) throw unknownValue(String(parsed.error.issues[0]?.path[0]));
  const location = parsed.data.location ?? (parsed.data.target === "azure" ? get("azure-native:location") : undefined);
  return { ...parsed.data, location, azure };
}

/** Texts are always texts; only few keys have few values. Which one was given is not repeated: it may be misplaced. */
function unknownValue(key: string): SandboxesError {
  const known = key === "target" ? targets : [defaultApiVersion, newerDataPlaneVersion];
  return new SandboxesError("Invalid", `The configuration "sandboxes:${key}" has a value that is not known`, {
    field: `sandboxes:${key}`,
    hint: `run \`pulumi config set sandboxes:${key} ${known[0]}\` (or ${known[1]})`,
  });
}
