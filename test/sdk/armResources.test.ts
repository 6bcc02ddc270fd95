import { ResourceManagementClient } from "@azure/arm-resources";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { SdkHost } from "./sdkHost";

const host = new SdkHost();
let client: ResourceManagementClient;
const subscription = "11111111-2222-3333-4444-555555555555";
const version = "2026-02-01-preview";
const often = { updateIntervalInMs: 100 };
const idOf = (group: string, name: string) =>
  `/subscriptions/${subscription}/resourceGroups/${group}/providers/Microsoft.App/sandboxGroups/${name}`;

beforeAll(async () => {
  await host.start();
  const { credential, options } = host.armClient;
  client = new ResourceManagementClient(credential, subscription, options);
});
afterAll(() => host.close());

async function idsOf(list: AsyncIterable<{ id?: string }>): Promise<(string | undefined)[]> {
  const ids = [];
  for await (const { id } of list) ids.push(id);
  return ids;
}

describe("@azure/arm-resources, which knows any resource and no sandbox group", () => {
  it("creates, finds, changes and deletes a group by its id", async () => {
    const { resources } = client;
    const id = idOf("rg 1(a)", "any");
    expect(await resources.checkExistenceById(id, version)).toMatchObject({ body: false });
    const made = await resources.createOrUpdateById(id, version, { location: "local", tags: { a: "1" } }, often);
    expect(made).toMatchObject({ id, name: "any", properties: { provisioningState: "Succeeded" } });
    expect(await resources.checkExistenceById(id, version)).toMatchObject({ body: true });
    expect((await resources.updateById(id, version, { tags: { b: "2" } }, often)).tags).toEqual({ b: "2" });
    expect((await resources.getById(id.toLowerCase(), version)).id).toBe(id);
    await resources.deleteById(id, version, often);
    expect(await resources.checkExistenceById(id, version)).toMatchObject({ body: false });
  });

  it("lists groups as resources, by type, tag and resource group", async () => {
    const { resources } = client;
    for (const [group, name] of [
      ["Red", "one"],
      ["red", "two"],
      ["blue", "three"],
    ] as const) {
      await resources.createOrUpdateById(idOf(group, name), version, { location: "local", tags: { name } }, often);
    }
    const [one, two, three] = [idOf("Red", "one"), idOf("red", "two"), idOf("blue", "three")];
    expect((await idsOf(resources.list())).sort()).toEqual([one, two, three].sort());
    const filter = "resourceType eq 'microsoft.app/sandboxgroups' and location eq 'local'";
    expect((await idsOf(resources.listByResourceGroup("RED", { filter }))).sort()).toEqual([one, two].sort());
    expect(await idsOf(resources.list({ filter: "tagName eq 'name' and tagValue eq 'three'" }))).toEqual([three]);
    expect(await idsOf(resources.list({ filter: "resourceType eq 'Microsoft.Web/sites'" }))).toEqual([]);
    expect(await idsOf(resources.list({ top: 1 }))).toHaveLength(1);
    await expect(idsOf(resources.list({ filter: "startswith(name, 'o')" }))).rejects.toMatchObject({ statusCode: 400 });
  });

  it("finds any resource group, makes one, and deletes one with all in it", async () => {
    const { resourceGroups, resources } = client;
    expect(await resourceGroups.checkExistence("anything")).toMatchObject({ body: true });
    expect(await resourceGroups.createOrUpdate("new", { location: "local" })).toMatchObject({
      ...{ name: "new", type: "Microsoft.Resources/resourceGroups", location: "local" },
      properties: { provisioningState: "Succeeded" },
    });
    await expect(resourceGroups.createOrUpdate("new", { location: "local", tags: { a: "b" } })).rejects.toMatchObject({
      statusCode: 501,
      code: "NotSupported",
    });
    await resources.createOrUpdateById(idOf("full", "inside"), version, { location: "local" }, often);
    expect((await resourceGroups.get("FULL")).name).toBe("full");
    expect(await idsOf(resourceGroups.list())).toContain(`/subscriptions/${subscription}/resourceGroups/full`);
    await resourceGroups.delete("full", often);
    expect(await idsOf(resources.listByResourceGroup("full"))).toEqual([]);
  });

  it("asks for the resource provider, and registers it", async () => {
    expect((await client.providers.get("Microsoft.App")).registrationState).toBe("Registered");
    expect((await client.providers.register("Microsoft.App")).registrationState).toBe("Registered");
    const namespaces = [];
    for await (const { namespace } of client.providers.list()) namespaces.push(namespace);
    expect(namespaces).toEqual(["Microsoft.App"]);
  });
});
