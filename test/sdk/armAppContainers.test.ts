import { readFileSync } from "node:fs";
import { ContainerAppsAPIClient } from "@azure/arm-appcontainers";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SdkHost } from "./sdkHost";

const host = new SdkHost();
let client: ContainerAppsAPIClient;
const subscription = "11111111-2222-3333-4444-555555555555";
/** Pollers ask after so many ms. */
const often = { updateIntervalInMs: 100 };

beforeAll(async () => {
  await host.start();
  const { credential, options } = host.armClient;
  client = new ContainerAppsAPIClient(credential, subscription, options);
});
afterAll(() => host.close());

async function namesOf(groups: AsyncIterable<{ name?: string }>): Promise<string[]> {
  const names = [];
  for await (const { name = "" } of groups) names.push(name);
  return names.sort();
}

describe("every operation of @azure/arm-appcontainers on sandbox groups", () => {
  it("is one of those that are called below", () => {
    expect(Object.keys(client.sandboxGroups).sort()).toEqual([
      ...["beginCreateOrUpdate", "beginCreateOrUpdateAndWait", "beginDelete", "beginDeleteAndWait", "beginUpdate"],
      ...[
        "beginUpdateAndWait",
        "createOrUpdate",
        "delete",
        "get",
        "listByResourceGroup",
        "listBySubscription",
        "update",
      ],
    ]);
  });

  it("createOrUpdate, get, update and delete", async () => {
    const { sandboxGroups } = client;
    const made = await sandboxGroups.createOrUpdate("rg", "first", { location: "local", tags: { a: "1" } }, often);
    expect(made).toMatchObject({
      id: `/subscriptions/${subscription}/resourceGroups/rg/providers/Microsoft.App/sandboxGroups/first`,
      ...{ name: "first", type: "Microsoft.App/sandboxGroups", location: "local", tags: { a: "1" } },
      properties: { provisioningState: "Succeeded" },
      systemData: { createdAt: expect.any(Date) },
    });
    expect(await sandboxGroups.get("RG", "FIRST")).toEqual(made);
    const changed = await sandboxGroups.update("rg", "first", { tags: { b: "2" } }, often);
    expect(changed.tags).toEqual({ b: "2" });
    expect((await sandboxGroups.createOrUpdate("rg", "first", { location: "local" }, often)).tags).toEqual({});
    await sandboxGroups.delete("rg", "first", often);
    await sandboxGroups.delete("rg", "first", often);
    await expect(sandboxGroups.get("rg", "first")).rejects.toMatchObject({ statusCode: 404, code: "ResourceNotFound" });
  });

  it("the same by their older names", async () => {
    const { sandboxGroups } = client;
    const poller = await sandboxGroups.beginCreateOrUpdate("rg", "older", { location: "local" }, often);
    expect((await poller.pollUntilDone()).name).toBe("older");
    await sandboxGroups.beginCreateOrUpdateAndWait("rg", "older", { location: "local" }, often);
    expect((await sandboxGroups.beginUpdateAndWait("rg", "older", { tags: { c: "3" } }, often)).tags).toEqual({
      c: "3",
    });
    await (await sandboxGroups.beginUpdate("rg", "older", { tags: {} }, often)).pollUntilDone();
    await (await sandboxGroups.beginDelete("rg", "older", often)).pollUntilDone();
    await sandboxGroups.beginDeleteAndWait("rg", "older", often);
  });

  it("listByResourceGroup and listBySubscription", async () => {
    const { sandboxGroups } = client;
    await sandboxGroups.createOrUpdate("rg1", "one", { location: "local" }, often);
    await sandboxGroups.createOrUpdate("rg2", "two", { location: "local" }, often);
    expect(await namesOf(sandboxGroups.listByResourceGroup("rg1"))).toEqual(["one"]);
    expect(await namesOf(sandboxGroups.listByResourceGroup("rg3"))).toEqual([]);
    expect(await namesOf(sandboxGroups.listBySubscription())).toEqual(["one", "two"]);
    const pages = [];
    for await (const page of sandboxGroups.listBySubscription().byPage()) pages.push(page.length);
    expect(pages).toEqual([2]);
  });

  it("an environment and VNet connections, which only Azure has, are refused with the reason", async () => {
    const { sandboxGroups, vnetConnections } = client;
    await sandboxGroups.createOrUpdate("rg", "alone", { location: "local" }, often);
    const environmentId = "/subscriptions/s/resourceGroups/r/providers/Microsoft.App/managedEnvironments/e";
    const refused = { statusCode: 501, code: "NotSupported" };
    await expect(sandboxGroups.update("rg", "alone", { properties: { environmentId } }, often)).rejects.toMatchObject(
      refused,
    );
    const subnetId = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/virtualNetworks/v/subnets/s";
    await expect(
      vnetConnections.createOrUpdate("rg", "alone", "v", { properties: { subnetId } }),
    ).rejects.toMatchObject(refused);
    expect(await namesOf(vnetConnections.listBySandboxGroup("rg", "alone"))).toEqual([]);
    await expect(vnetConnections.get("rg", "alone", "v")).rejects.toMatchObject({ statusCode: 404 });
    await vnetConnections.delete("rg", "alone", "v", often);
  });

  it("a wrong token is told at once", async () => {
    const credential = { getToken: async () => ({ token: "wrong", expiresOnTimestamp: Date.now() + 3600_000 }) };
    const stranger = new ContainerAppsAPIClient(credential, subscription, {
      endpoint: host.endpoint,
      tlsOptions: { ca: readFileSync(host.caFile) },
    });
    await expect(stranger.sandboxGroups.get("rg", "any")).rejects.toMatchObject({
      ...{ statusCode: 401, code: "Unauthorized" },
    });
  });
});
