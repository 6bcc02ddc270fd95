// A sandbox group on Azure, in a resource group of its own, and the role to use it:
//   az login
//   pulumi up --config azure-native:subscriptionId=<yours>
import { getClientConfigOutput } from "@pulumi/azure-native/authorization/getClientConfig.js";
import { RoleAssignment } from "@pulumi/azure-native/authorization/roleAssignment.js";
import { ResourceGroup } from "@pulumi/azure-native/resources/resourceGroup.js";
import { Config, interpolate } from "@pulumi/pulumi";
import { Sandbox, SandboxGroup } from "pulumi-sandboxes";

const config = new Config();
const resourceGroup = new ResourceGroup("sandboxes", { resourceGroupName: config.get("resourceGroupName") });

const group = new SandboxGroup("agents", {
  resourceGroupName: resourceGroup.name,
  tags: { team: "agents" },
});

// "Container Apps SandboxGroup Data Owner". Being owner of the subscription is not enough to use sandboxes.
const dataOwner = "c24cf47c-5077-412d-a19c-45202126392c";
const { subscriptionId, objectId } = getClientConfigOutput();
const role = new RoleAssignment("deployer", {
  scope: group.id,
  roleDefinitionId: interpolate`/subscriptions/${subscriptionId}/providers/Microsoft.Authorization/roleDefinitions/${dataOwner}`,
  principalId: objectId,
  principalType: config.require("principalType"),
});

// Roles take up to some minutes to be heard of; the provider asks again until then.
const sandbox = new Sandbox("first", { group, image: "python" }, { dependsOn: role });

export const groupId = group.id;
export const endpoint = group.managementEndpoint;
export const sandboxId = sandbox.sandboxId;
