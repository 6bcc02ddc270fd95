import { z } from "zod";
import { createDiskImageContent } from "../../../provider/client/wire/diskImages";
import { egressPolicy } from "../../../provider/client/wire/egress";
import { executeCommandContent, executeShellCommandContent } from "../../../provider/client/wire/exec";
import { mkdirContent } from "../../../provider/client/wire/files";
import { groupPatch, groupPut } from "../../../provider/client/wire/groups";
import { createPort } from "../../../provider/client/wire/ports";
import { createSandboxContent } from "../../../provider/client/wire/sandboxes";
import { WireError, type WireRequest } from "./wire";

/** A body that Azure knows: our schema for its values, and all the keys that the API description has. */
interface KnownBody {
  schema: z.ZodType;
  keys: readonly string[];
}

const egress = [
  ...["http", "defaultAction", "hostRules", "rules", "tds", "transportRules", "trafficInspection", "enforcementMode"],
];
const exec = ["command", "environment", "workingDirectory", "user", "activationMode"];

/** Keys from the API description; what a host of ours knows beyond it is none of Azure's. */
export const bodies = {
  groupPut: { schema: groupPut, keys: ["location", "tags", "identity", "properties"] },
  groupPatch: { schema: groupPatch, keys: ["tags", "identity", "properties"] },
  sandbox: {
    schema: createSandboxContent,
    keys: [
      ...["labels", "entrypoint", "cmd", "environment", "sourcesRef", "resources", "ports", "connections", "volumes"],
      ...["gatewayConnections", "credentialRefs", "egressPolicy", "egressPolicyId", "lifecycle", "identitySettings"],
      ...["vnetConnectionName", "customerVnetConnectionName", "skipEgressProxy", "vmmType", "telemetryConfig"],
    ],
  },
  olderImage: {
    schema: createDiskImageContent,
    keys: ["name", "labels", "image", "registryCredentials", "managedIdentityResourceId", "dockerfileContent"],
  },
  newerImage: { schema: createDiskImageContent.partial(), keys: ["name", "labels", "source", "vnetConnectionName"] },
  exec: { schema: executeCommandContent, keys: [...exec, "args"] },
  shell: { schema: executeShellCommandContent, keys: [...exec, "shell"] },
  port: { schema: createPort, keys: ["name", "port", "auth", "activationMode", "protocol", "ipAccessControl", "cors"] },
  egress: { schema: egressPolicy, keys: egress },
  namedEgress: { schema: egressPolicy, keys: [...egress, "name", "description"] },
  secret: { schema: z.looseObject({ values: z.record(z.string(), z.string()) }), keys: ["values"] },
  mkdir: { schema: mkdirContent, keys: ["path", "createParents", "mode"] },
} as const satisfies Record<string, KnownBody>;

/** Notes what is wrong with a body, and refuses it as Azure would refuse a wrong value. */
export function checkBody<Name extends keyof typeof bodies>(
  name: Name,
  body: unknown,
  request: WireRequest,
  violations: string[],
): z.output<(typeof bodies)[Name]["schema"]> {
  const { schema, keys }: KnownBody = bodies[name];
  const where = `${request.method} ${request.path}`;
  const odd = Object.keys((body ?? {}) as object).filter((key) => !keys.includes(key));
  if (odd.length > 0) violations.push(`${where}: Azure does not know ${odd.join(", ")}`);
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data as never;
  const [issue] = parsed.error.issues;
  throw new WireError(400, "InvalidRequest", issue?.message ?? "", {
    [issue?.path.join(".") || "$"]: [issue?.message ?? ""],
  });
}
