import { z } from "zod";
import { SandboxesError } from "../client/errors";

const fields = {
  target: z.enum(["microvm", "azure"]).default("microvm"),
  endpoint: z.string().optional(),
  token: z.string().optional(),
  caCertificate: z.string().optional(),
  dataDir: z.string().optional(),
  subscriptionId: z.string().optional(),
  resourceGroupName: z.string().optional(),
  location: z.string().optional(),
  apiVersion: z.string().optional(),
};
const schema = z.object(fields);

/** The provider's configuration, `sandboxes:*`; `token` is secret. */
export type ProviderConfig = z.output<typeof schema>;

/** Reads the configuration through a look-up by full key, `sandboxes:target`. */
export function readProviderConfig(get: (key: string) => string | undefined): ProviderConfig {
  const raw = Object.fromEntries(Object.keys(fields).map((key) => [key, get(`sandboxes:${key}`) || undefined]));
  const parsed = schema.safeParse(raw);
  if (parsed.success) return parsed.data;
  // Texts are always texts; only the target has few values. Which one was given is not repeated: it may be misplaced.
  throw new SandboxesError("Invalid", 'The configuration "sandboxes:target" has a value that is not known', {
    field: "sandboxes:target",
    hint: "run `pulumi config set sandboxes:target microvm`",
  });
}

/** Why a target cannot be used, or undefined when it can. The one place that knows. */
export function targetObstacle(target: unknown): string | undefined {
  return target === "azure" ? "target azure: not available in this version yet" : undefined;
}
