import { z } from "zod";
import { createDiskImageContent } from "../../../provider/client/wire/diskImages";
import { egressPolicy } from "../../../provider/client/wire/egress";
import { executeCommandContent, executeShellCommandContent } from "../../../provider/client/wire/exec";
import { mkdirContent } from "../../../provider/client/wire/files";
import { groupPatch, groupPut } from "../../../provider/client/wire/groups";
import { createPort, replacePorts } from "../../../provider/client/wire/ports";
import { createSandboxContent, lifecyclePolicy } from "../../../provider/client/wire/sandboxes";
import { putSecretContent } from "../../../provider/client/wire/secrets";
import { createSnapshotContent } from "../../../provider/client/wire/snapshots";
import { putVnetConnectionContent } from "../../../provider/client/wire/vnetConnections";
import { addVolumeContent, putVolumeContent } from "../../../provider/client/wire/volumes";
import { type Keys, keys, unknownKeys } from "./knownKeys";
import { newer, older, WireError, type WireRequest } from "./wire";

/** A body that Azure knows: our schema for its values, and all the keys that the API description has. */
interface KnownBody {
  schema: z.ZodType;
  keys: Keys;
  /** Keys that only this version has. */
  older?: string[];
  newer?: string[];
}

const header: Keys = {
  ...keys("operation name value"),
  valueRef: {
    secretRef: keys("secretId secretKey format"),
    managedIdentityRef: keys("resource format type identityResourceId"),
  },
};
const hookRef: Keys = {
  ...keys("endpoint failBehavior requestHeaders timeoutMs routingMode"),
  authHeaders: header,
};
const rule: Keys = {
  ...keys("name proxyActions source"),
  hookRef,
  match: keys("host path methods scheme normalizePath"),
  action: {
    ...keys("type scheme host path routingMode forward"),
    forwardProxy: keys("url ca"),
    headers: header,
  },
};
const egressSection = {
  ...keys("defaultAction trafficInspection enforcementMode"),
  hostRules: keys("pattern action"),
  rules: rule,
};
const egress = {
  ...egressSection,
  transportRules: { defaultAction: "any", rules: keys("action protocol destination port") },
  // A credential's `secret` is the service's own.
  tds: {
    defaultAction: "any",
    credentials: { ...keys("name kind username"), secretRef: keys("secretId secretKey format") },
    rules: { name: "any", match: keys("host databases"), action: keys("type credential"), hookRef },
  },
  http: { ...egressSection, defaultForward: keys("url ca") },
} satisfies Keys;
const identities = keys("enabled emails emailSuffixes objectIds tenantIds usernames usernameSuffixes");
const port = {
  ...keys("name port activationMode protocol"),
  auth: { anonymous: "any", entraId: identities, github: identities },
  ipAccessControl: { defaultAction: "any", rules: keys("name action priority sourceCidrs") },
  cors: keys("allowOrigins allowMethods allowHeaders allowCredentials maxAge"),
} satisfies Keys;
const lifecycle = {
  autoSuspendPolicy: keys("enabled interval mode"),
  autoDeletePolicy: keys("enabled deleteIntervalInDays deleteIntervalInSeconds trigger"),
};
const contentPackage = keys("contentPackageId targetPath action");
const artifactVersion = { id: "any", auth: keys("identity") } satisfies Keys;
const diskImage = keys("id name isPublic");
const probe = {
  ...keys("initialDelaySeconds periodSeconds timeoutSeconds failureThreshold successThreshold"),
  terminationGracePeriodSeconds: "any",
  httpGet: { ...keys("port path host scheme"), httpHeaders: keys("name value") },
  exec: keys("command"),
  tcpSocket: keys("port host"),
} satisfies Keys;
const user = keys("runAsUser runAsGroup runAsNonRoot");
const pod = {
  containers: {
    ...keys("name command args env"),
    ...{ diskImage, artifactVersion, contentPackageDownloads: contentPackage },
    resources: keys("cpu memory disk"),
    volumeMounts: keys("name mountPath readOnly"),
    securityContext: {
      ...user,
      ...keys("privileged allowPrivilegeEscalation readOnlyRootFilesystem"),
      capabilities: keys("add drop"),
      seccompProfile: keys("type"),
    },
    ...{ startupProbe: probe, livenessProbe: probe, readinessProbe: probe },
  },
  volumes: keys("kind name size fileCacheSizeLimit readOnly"),
  contentPackages: keys("contentPackageId"),
  securityContext: { ...user, ...keys("supplementalGroups fsGroup fsGroupChangePolicy") },
  restartPolicy: "any",
} satisfies Keys;
const telemetry = {
  endpoints: {
    ...keys("kind endpoint protocol dceEndpoint dcrImmutableId workspaceId tableName data columns dynamicJsonColumns"),
    auth: keys("kind headerName secretId secretKey secretRef identity"),
  },
  metricsIntervalSeconds: "any",
} satisfies Keys;
const mount = keys("volumeName mountpoint readOnly");
const exec = keys("command environment workingDirectory user activationMode");
const groupProperties = keys("environmentId");
const identity = keys("type userAssignedIdentities");
const credentials = keys("username token");

/** Keys from the API description; what a host of ours knows beyond it is none of Azure's. */
export const bodies = {
  groupPut: { schema: groupPut, keys: { ...keys("location tags"), identity, properties: groupProperties } },
  groupPatch: { schema: groupPatch, keys: { tags: "any", identity, properties: groupProperties } },
  vnetConnection: { schema: putVnetConnectionContent, keys: { location: "any", properties: keys("subnetId") } },
  roleAssignment: {
    schema: z.looseObject({
      properties: z.looseObject({ roleDefinitionId: z.string(), principalId: z.guid() }),
    }),
    keys: { properties: keys("roleDefinitionId principalId principalType") },
  },
  sandbox: {
    schema: createSandboxContent,
    keys: {
      ...keys("labels entrypoint cmd environment connections credentialRefs egressPolicyId projectId"),
      ...keys("vnetConnectionName customerVnetConnectionName skipEgressProxy vmmType"),
      ...keys("presetSandboxType anthropicApiKey"),
      presetProperties: keys("isWorkIqConnectionEnabled"),
      agentIdentity: keys("tenantId agentId"),
      sourcesRef: { diskImage, snapshot: keys("id"), pod, artifactVersion },
      contentPackageDownloads: contentPackage,
      telemetryConfig: telemetry,
      resources: keys("cpu memory disk"),
      ports: port,
      egressPolicy: egress,
      gatewayConnections: keys("resourceId"),
      identitySettings: keys("identity lifecycle"),
      volumes: mount,
      lifecycle,
    },
    older: ["customerVnetConnectionName", "skipEgressProxy", "vmmType"],
    newer: ["vnetConnectionName"],
  },
  olderImage: {
    schema: createDiskImageContent,
    keys: {
      ...keys("name labels managedIdentityResourceId dockerfileContent"),
      image: keys("base entrypoint cmd"),
      registryCredentials: credentials,
    },
  },
  newerImage: {
    schema: createDiskImageContent.partial(),
    keys: {
      ...keys("name labels vnetConnectionName"),
      source: {
        ...keys("kind imageUrl blobSourceUri"),
        authentication: { registryCredentials: credentials, identity: keys("type identityResourceId") },
      },
    },
  },
  exec: { schema: executeCommandContent, keys: { ...exec, args: "any" } },
  shell: { schema: executeShellCommandContent, keys: { ...exec, shell: "any" } },
  port: { schema: createPort, keys: port },
  /** A replacement sends back what was read, addresses included. */
  ports: { schema: replacePorts, keys: { ports: { ...port, url: "any" } } },
  portRemoval: { schema: z.looseObject({}), keys: keys("port name") },
  egress: { schema: egressPolicy, keys: egress },
  namedEgress: { schema: egressPolicy, keys: { ...egress, ...keys("name description") } },
  secret: { schema: putSecretContent, keys: keys("values") },
  mkdir: { schema: mkdirContent, keys: keys("path createParents mode") },
  lifecycle: { schema: lifecyclePolicy, keys: lifecycle },
  snapshot: { schema: createSnapshotContent, keys: keys("labels") },
  volume: {
    schema: putVolumeContent,
    keys: {
      ...keys("type size labels storageContainerResourceId"),
      auth: { kind: "any", identity: keys("kind resourceId") },
    },
  },
  mount: { schema: addVolumeContent, keys: { volumeMount: mount } },
  none: { schema: z.looseObject({}), keys: {} },
} as const satisfies Record<string, KnownBody>;

/** Notes what is wrong with a body, and refuses it as Azure would refuse a wrong value. */
export function checkBody<Name extends keyof typeof bodies>(
  name: Name,
  body: unknown,
  request: WireRequest,
  violations: string[],
): z.output<(typeof bodies)[Name]["schema"]> {
  const { schema, keys: known, older: olderOnly = [], newer: newerOnly = [] }: KnownBody = bodies[name];
  const foreign = request.apiVersion === older ? newerOnly : request.apiVersion === newer ? olderOnly : [];
  const odd = [...unknownKeys(known, body), ...foreign.filter((key) => Object.hasOwn((body ?? {}) as object, key))];
  if (odd.length > 0) {
    violations.push(`${request.method} ${request.path}: ${request.apiVersion} does not know ${odd.join(", ")}`);
  }
  const parsed = schema.safeParse(body);
  if (parsed.success) return parsed.data as never;
  const [issue] = parsed.error.issues;
  throw new WireError(400, "InvalidRequest", issue?.message ?? "", {
    [issue?.path.join(".") || "$"]: [issue?.message ?? ""],
  });
}
