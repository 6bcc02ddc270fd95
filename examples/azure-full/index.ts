// A sandbox group on Azure with all that usually surrounds one: a virtual network, an identity that pulls images from
// your registry, roles, a volume, and a snapshot of a prepared sandbox.
//   az login
//   pulumi up --config azure-native:subscriptionId=<yours> --config registryName=<yours> --config image=<repository:tag>
import { getClientConfigOutput } from "@pulumi/azure-native/authorization/getClientConfig.js";
import { RoleAssignment } from "@pulumi/azure-native/authorization/roleAssignment.js";
import { getRegistryOutput } from "@pulumi/azure-native/containerregistry/getRegistry.js";
import { UserAssignedIdentity } from "@pulumi/azure-native/managedidentity/userAssignedIdentity.js";
import { VirtualNetwork } from "@pulumi/azure-native/network/virtualNetwork.js";
import { ResourceGroup } from "@pulumi/azure-native/resources/resourceGroup.js";
import { Config, interpolate } from "@pulumi/pulumi";
import { DiskImage, Sandbox, SandboxGroup, Secret, Snapshot, VnetConnection, Volume } from "pulumi-sandboxes";

const config = new Config();
const resourceGroup = new ResourceGroup("sandboxes", { resourceGroupName: config.get("resourceGroupName") });
const resourceGroupName = resourceGroup.name;
const { subscriptionId, objectId } = getClientConfigOutput();
const roleOf = (id: string) =>
  interpolate`/subscriptions/${subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${id}`;

// The subnet belongs to sandboxes alone.
const network = new VirtualNetwork("office", {
  resourceGroupName,
  addressSpace: { addressPrefixes: ["10.20.0.0/16"] },
  subnets: [
    {
      name: "sandboxes",
      addressPrefix: "10.20.0.0/23",
      delegations: [{ name: "sandboxes", serviceName: "Microsoft.App/environments" }],
    },
  ],
});
const subnetId = interpolate`${network.id}/subnets/sandboxes`;

// Who pulls images: AcrPull on the registry.
const puller = new UserAssignedIdentity("puller", { resourceGroupName });
const registry = getRegistryOutput({ resourceGroupName, registryName: config.require("registryName") });
const pull = new RoleAssignment("puller", {
  scope: registry.id,
  roleDefinitionId: roleOf("7f951dda-4ed3-4680-a7ca-43fe172d538d"),
  principalId: puller.principalId,
  principalType: "ServicePrincipal",
});

const group = new SandboxGroup("agents", {
  resourceGroupName,
  identity: { type: "SystemAssigned, UserAssigned", userAssignedIdentities: [puller.id] },
});
// "Container Apps SandboxGroup Data Owner"; assignDataOwner of the group would give it without azure-native.
const role = new RoleAssignment("deployer", {
  scope: group.id,
  roleDefinitionId: roleOf("c24cf47c-5077-412d-a19c-45202126392c"),
  principalId: objectId,
  principalType: config.require("principalType"),
});
const withRole = { dependsOn: [role] };

const office = new VnetConnection("office", { group, subnetId });
const image = new DiskImage(
  "agent",
  { group, image: interpolate`${registry.loginServer}/${config.require("image")}`, identity: puller.id },
  { dependsOn: [role, pull] },
);
const work = new Volume("work", { group, type: "AzureBlob" }, withRole);
const token = new Secret("api", { group, values: { TOKEN: config.getSecret("apiToken") ?? "none yet" } }, withRole);

const prepared = new Sandbox("prepared", {
  group,
  image,
  vnetConnection: office,
  volumes: [{ volume: work, mountpoint: "/work" }],
  identitySettings: [{ identity: "system", lifecycle: "Main" }],
  lifecycle: { autoSuspendPolicy: { enabled: true, interval: 600 } },
  egress: {
    hostRules: [{ pattern: "*.pypi.org" }],
    rules: [
      {
        name: "with-token",
        match: { host: "api.example.com" },
        action: {
          type: "Transform",
          headers: [
            {
              operation: "Set",
              name: "authorization",
              valueRef: { secretRef: { secretId: token.name, secretKey: "TOKEN", format: "Bearer {value}" } },
            },
          ],
        },
      },
    ],
  },
});
const snapshot = new Snapshot("prepared", { group, sandbox: prepared });
const copy = new Sandbox("copy", { group, snapshot, egress: { defaultAction: "Deny" } });

export const groupId = group.id;
export const groupPrincipalId = group.principalId;
export const snapshotId = snapshot.snapshotId;
export const sandboxId = copy.sandboxId;
