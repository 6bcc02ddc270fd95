import type { Connection } from "../connection";
import type { ReadError } from "../wire/errors";

/** "Container Apps SandboxGroup Data Owner"; see learn.microsoft.com, Container Apps sandboxes, quickstart with Bicep. */
export const dataOwnerRoleId = "c24cf47c-5077-412d-a19c-45202126392c";

/** What to do about a data plane that refuses without a word. `scope` is the group's ARM id. */
export function roleHint(scope: string): string {
  return (
    "the role Container Apps SandboxGroup Data Owner is missing, which not even the subscription's owner has: " +
    `az role assignment create --role ${dataOwnerRoleId} --assignee <object id> --scope ${scope} ` +
    "(it takes effect after seconds, sometimes minutes)"
  );
}

/** What to do about a caller who may not give roles. `scope` is the group's ARM id. */
export function assignHint(scope: string, principalId: string): string {
  return (
    "the caller needs Microsoft.Authorization/roleAssignments/write, as Owner and User Access Administrator have it; " +
    "or leave assignDataOwner out, and have one of them run: " +
    `az role assignment create --role ${dataOwnerRoleId} --assignee ${principalId} --scope ${scope}`
  );
}

/** What to do about a refusal of the control plane; undefined when its own words say it. */
export function controlHint(status: number, { code }: ReadError, connection: Connection): string | undefined {
  if (status === 401) {
    return "the token is not for this cloud, tenant or subscription: check environment, tenantId and `az account show`";
  }
  if (status === 403) {
    return "the caller needs Microsoft.App/sandboxGroups/write, as Contributor of the resource group has it";
  }
  if (code === "SubscriptionNotFound" || code === "InvalidSubscriptionId") {
    return `is the subscription ${connection.subscriptionId} in the tenant of these credentials?`;
  }
  if (code === "ResourceGroupNotFound") {
    return `create the resource group first: az group create --name ${connection.resourceGroupName} --location <region>`;
  }
  if (code === "MissingSubscriptionRegistration" || code === "NoRegisteredProviderFound") {
    return "az provider register --namespace Microsoft.App";
  }
  return commonHint(code);
}

/** What to do about a refusal of the data plane; undefined when its own words say it. */
export function dataHint(status: number, { code }: ReadError): string | undefined {
  if (status === 401) {
    return "the data plane wants a token for https://dynamicsessions.io (or https://management.azuredevcompute.io), not one of ARM";
  }
  if (status === 504) {
    return "Azure ends a call after about 600 s: run long programs in the background and look for their result";
  }
  if (code === "InvalidResourceTier") return "Azure allows 20 GiB of disk for each cpu, and pairs of cpu and memory";
  return commonHint(code);
}

function commonHint(code: string | undefined): string | undefined {
  if (!code) return undefined;
  if (/quota|limitexceeded|capacity/i.test(code)) {
    return "raise the quota of the subscription in that region, or delete what is not needed";
  }
  if (/location|region/i.test(code)) {
    return "choose a region that has sandbox groups: az provider show --namespace Microsoft.App --query \"resourceTypes[?resourceType=='sandboxGroups'].locations\"";
  }
  return undefined;
}
