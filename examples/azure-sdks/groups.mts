import { ContainerAppsAPIClient } from "@azure/arm-appcontainers";
import { DefaultAzureCredential } from "@azure/identity";

const token = process.env.SANDBOXES_TOKEN ?? "";
const hostToken = { getToken: async () => ({ token, expiresOnTimestamp: Date.now() + 3600_000 }) };
const credential = process.env.IDENTITY_ENDPOINT ? new DefaultAzureCredential() : hostToken;

const subscription = "00000000-0000-0000-0000-000000000000";
const options = { endpoint: process.env.SANDBOXES_ENDPOINT };
const { sandboxGroups } = new ContainerAppsAPIClient(credential, subscription, options);

const group = await sandboxGroups.createOrUpdate("local", "sdk", { location: "local", tags: { made: "by-example" } });
console.log(group.id, group.properties?.provisioningState);
await sandboxGroups.delete("local", "sdk");
