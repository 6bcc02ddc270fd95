// Agents on Azure: a group in a network of its own, with an image from a private registry, files that outlive
// sandboxes, a token that no agent sees, and nothing let out but what is listed.
//   pulumi config set registryName <an existing Azure Container Registry>
//   pulumi config set --secret token <of the service that agents call>
import { getClientConfigOutput } from "@pulumi/azure-native/authorization/getClientConfig.js";
import { RoleAssignment } from "@pulumi/azure-native/authorization/roleAssignment.js";
import { getRegistryOutput } from "@pulumi/azure-native/containerregistry/getRegistry.js";
import { UserAssignedIdentity } from "@pulumi/azure-native/managedidentity/userAssignedIdentity.js";
import { Subnet } from "@pulumi/azure-native/network/subnet.js";
import { VirtualNetwork } from "@pulumi/azure-native/network/virtualNetwork.js";
import { ResourceGroup } from "@pulumi/azure-native/resources/resourceGroup.js";
import { Config, interpolate } from "@pulumi/pulumi";
import {
  DiskImage,
  EgressPolicy,
  Sandbox,
  SandboxGroup,
  Secret,
  Snapshot,
  VnetConnection,
  Volume,
} from "pulumi-sandboxes";

const config = new Config();
const resourceGroup = new ResourceGroup("agents", { resourceGroupName: config.get("resourceGroupName") });
const resourceGroupName = resourceGroup.name;

// The identity that may pull from the registry. "AcrPull"; see Azure's list of built-in roles.
const acrPull = "7f951dda-4ed3-4680-a7ca-43fe172d538d";
const { subscriptionId } = getClientConfigOutput();
const registry = getRegistryOutput({
  registryName: config.require("registryName"),
  resourceGroupName: config.require("registryResourceGroupName"),
});
const puller = new UserAssignedIdentity("puller", { resourceGroupName });
const mayPull = new RoleAssignment("may-pull", {
  scope: registry.id,
  roleDefinitionId: interpolate`/subscriptions/${subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${acrPull}`,
  principalId: puller.principalId,
  principalType: "ServicePrincipal",
});

// Whoever deploys also becomes Data Owner of the group, without which not even an owner can use it.
const group = new SandboxGroup("agents", {
  resourceGroupName,
  identity: { type: "UserAssigned", userAssignedIdentities: [puller.id] },
  assignDataOwner: true,
});

// Sandboxes in a network of one's own: the subnet is theirs alone.
const network = new VirtualNetwork("agents", {
  resourceGroupName,
  addressSpace: { addressPrefixes: ["10.20.0.0/16"] },
});
const subnet = new Subnet("sandboxes", {
  resourceGroupName,
  virtualNetworkName: network.name,
  addressPrefix: "10.20.0.0/23",
  delegations: [{ name: "sandboxes", serviceName: "Microsoft.App/environments" }],
});
const vnetConnection = new VnetConnection("agents", { group, subnetId: subnet.id });

const image = new DiskImage(
  "agent",
  { group, image: interpolate`${registry.loginServer}/${config.require("image")}`, identity: puller.id },
  { dependsOn: mayPull },
);

// What agents share, and what they may call: the proxy puts the token in, the sandbox never has it.
const models = new Volume("models", { group, type: "AzureBlob" });
const token = new Secret("token", { group, values: { value: config.requireSecret("token") } });
const egressPolicy = new EgressPolicy("agents", {
  group,
  // Without it Azure leaves https as it is, and the header out.
  trafficInspection: "Full",
  hostRules: [{ pattern: "pypi.org" }, { pattern: "files.pythonhosted.org" }],
  rules: [
    {
      name: "call-the-service",
      match: { host: "api.example.com" },
      action: {
        type: "Transform",
        headers: [
          {
            operation: "Set",
            name: "Authorization",
            valueRef: { secretRef: { secretId: token.name, secretKey: "value", format: "Bearer {value}" } },
          },
        ],
      },
    },
  ],
});

// One is prepared; all others start from what it had in memory.
const prepared = new Sandbox("prepared", {
  group,
  image,
  cpu: 1,
  memory: "2Gi",
  vnetConnection,
  egressPolicy,
  volumes: [{ volume: models, mountpoint: "/models", readOnly: true }],
  lifecycle: { autoSuspendPolicy: { enabled: true, interval: 300 } },
});
const warm = new Snapshot("warm", { group, sandbox: prepared });

const first = new Sandbox("first", { group, snapshot: warm });

export const groupId = group.id;
export const endpoint = group.managementEndpoint;
export const snapshotId = warm.snapshotId;
export const sandboxId = first.sandboxId;
