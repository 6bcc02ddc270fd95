import { resolveConnection } from "../client/connection";
import { SandboxApi } from "../client/sandboxApi";
import { Session } from "../pulumi/session";

/** The one session of this process: Pulumi runs all dynamic resources of a stack in one. */
export const session = new Session(async (config, scope) => {
  const { endpoint, token, caCertificate: ca, dataDir } = config;
  const subscriptionId = scope.subscriptionId ?? config.subscriptionId;
  const resourceGroupName = scope.resourceGroupName ?? config.resourceGroupName;
  return new SandboxApi(await resolveConnection({ endpoint, token, ca, dataDir, subscriptionId, resourceGroupName }));
});
