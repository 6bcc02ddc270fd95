import type { z } from "zod";
import { definedOnly, type PropertyBag } from "../pulumi/propertyBag";
import type { ResourceRules } from "../pulumi/rules";
import { azureSpelling } from "./azureGroup";
import type { diskImageInputs } from "./diskImage";
import type { egressPolicyInputs } from "./egressPolicy";
import type { sandboxInputs } from "./sandbox";
import type { sandboxGroupInputs } from "./sandboxGroup";
import type { secretInputs } from "./secret";
import type { snapshotInputs } from "./snapshot";
import type { vnetConnectionInputs } from "./vnetConnection";
import type { volumeInputs } from "./volume";

/** What a sandbox gets when nothing is asked for; Azure's are those of its own clients, and its disk goes by the cpu. */
export const defaultResources = {
  microvm: { cpu: "1000m", memory: "512Mi", disk: "10240Mi" },
  azure: { cpu: "1000m", memory: "2048Mi" },
};

/** Whether the provider says how large the sandbox is: a snapshot settles that, and Azure for what it has prepared. */
export function isSized({ image, snapshot, cpu, memory, disk }: PropertyBag): boolean {
  return snapshot === undefined && [image, cpu, memory, disk].some((value) => value !== undefined);
}

const brokenWhenFailed = ({ state }: PropertyBag) => (state === "Failed" ? "state" : undefined);
const brokenWhenNotProvisioned = ({ provisioningState }: PropertyBag) =>
  provisioningState === "Failed" ? "provisioningState" : undefined;

/** What is known of each resource while its schemas are not loaded; their definitions hold the same. */
export const rules = {
  SandboxGroup: {
    inputNames: every<typeof sandboxGroupInputs>()([
      ...(["name", "location", "tags", "requireHardwareIsolation", "resourceGroupName", "identity"] as const),
      ...(["environmentId", "assignDataOwner", "target", "__key", "__logicalName"] as const),
    ]),
    computed: ["name", "location", "resourceGroupName"],
    fillIn: (inputs, target) => {
      const filled = { requireHardwareIsolation: false, ...definedOnly(inputs) };
      return target === "azure" ? azureSpelling(filled) : filled;
    },
  },
  DiskImage: {
    inputNames: every<typeof diskImageInputs>()([
      ...(["group", "image", "sandbox", "blob", "credentials", "identity", "entrypoint", "cmd", "warmUp"] as const),
      ...(["vnetConnection", "labels", "__key", "__target"] as const),
    ]),
    brokenBy: brokenWhenFailed,
  },
  Sandbox: {
    inputNames: every<typeof sandboxInputs>()([
      ...(["group", "image", "snapshot", "preset", "pod", "artifactVersion", "anthropicApiKey"] as const),
      ...(["presetProperties", "cpu", "memory", "disk", "env", "entrypoint", "cmd", "labels", "ports"] as const),
      ...(["egress", "egressPolicy", "vnetConnection", "identitySettings", "agentIdentity", "connections"] as const),
      ...(["gatewayConnections", "credentialRefs", "contentPackageDownloads", "telemetryConfig"] as const),
      ...(["projectId", "volumes", "lifecycle", "__key", "__target"] as const),
    ]),
    computed: ["disk"],
    fillIn: (inputs, target) => (isSized(inputs) ? { ...defaultResources[target], ...definedOnly(inputs) } : inputs),
    brokenBy: brokenWhenFailed,
  },
  Snapshot: { inputNames: every<typeof snapshotInputs>()(["group", "sandbox", "labels", "__key", "__target"]) },
  Volume: {
    inputNames: every<typeof volumeInputs>()([
      ...(["group", "name", "type", "size", "labels", "storageContainerResourceId", "identity"] as const),
      ...(["__key", "__logicalName", "__target"] as const),
    ]),
    computed: ["name"],
    brokenBy: brokenWhenNotProvisioned,
  },
  Secret: {
    inputNames: every<typeof secretInputs>()(["group", "name", "values", "__key", "__logicalName", "__target"]),
    computed: ["name"],
  },
  EgressPolicy: {
    inputNames: every<typeof egressPolicyInputs>()([
      ...(["group", "name", "description", "defaultAction", "hostRules", "rules", "enforcementMode"] as const),
      ...([
        "trafficInspection",
        "defaultForward",
        "transportRules",
        "tds",
        "__key",
        "__logicalName",
        "__target",
      ] as const),
    ]),
    computed: ["name"],
    fillIn: (inputs) => ({ defaultAction: "Deny", ...definedOnly(inputs) }),
  },
  VnetConnection: {
    inputNames: every<typeof vnetConnectionInputs>()(["group", "subnetId", "__key", "__logicalName", "__target"]),
    brokenBy: brokenWhenNotProvisioned,
  },
} as const satisfies Record<string, ResourceRules>;

/** All names of a schema, which is not loaded for it: one that is missing or too many is a mistake that the compiler finds. */
function every<Schema extends z.ZodObject>() {
  type Name = keyof Schema["shape"] & string;
  return <const Names extends readonly Name[]>(
    names: [Exclude<Name, Names[number]>] extends [never] ? Names : { missing: Exclude<Name, Names[number]> },
  ): readonly string[] => names as unknown as Names;
}
