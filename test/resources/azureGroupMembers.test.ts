import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { EgressPolicy } from "../../provider/client/wire/egress";
import type { Resource } from "../../provider/pulumi/defineResource";
import { InitFailed } from "../../provider/pulumi/initFailed";
import type { PropertyBag } from "../../provider/pulumi/propertyBag";
import type { Session } from "../../provider/pulumi/session";
import { unknownValue } from "../../provider/pulumi/unknowns";
import { sandbox } from "../../provider/resources/sandbox";
import { snapshot } from "../../provider/resources/snapshot";
import { vnetConnection } from "../../provider/resources/vnetConnection";
import { volume } from "../../provider/resources/volume";
import { ResourceAzure } from "./resourceAzure";
import { type Existing, inputsOf, keyOf, make } from "./resourceHost";

const versions = ["2026-02-01-preview", "2026-09-01-preview"];
const subnetId =
  "/subscriptions/s1/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/office/subnets/sandboxes";

const tcp = { action: "Allow", protocol: "Tcp", destination: "10.1.0.0/16" };

describe.each(versions)("on Azure, data plane %s,", (apiVersion) => {
  let provider: ResourceAzure;
  let session: Session;
  let group: Existing;

  beforeEach(async () => {
    provider = await ResourceAzure.start(apiVersion);
    session = provider.session();
    group = await provider.group(session);
  });
  afterEach(() => provider.close());

  const stored = () => [...provider.double.control.groups.values()][0]!;
  const of = (resource: Resource, news: PropertyBag, by = session) =>
    make(resource, by, { __key: keyOf(resource.token), group: group.id, ...news });

  /** Nothing to do after a refresh, with the same arguments. */
  async function expectSettled(resource: Resource, made: Existing, news: PropertyBag): Promise<void> {
    const found = await resource.read(provider.session(), made.id, made.state);
    expect(found?.state).toEqual(made.state);
    const again = inputsOf(resource, session, { group: group.id, ...news });
    expect(resource.diff(session, made.id, found?.state ?? {}, again).changes).toEqual([]);
  }

  async function expectGone(resource: Resource, made: Existing): Promise<void> {
    await resource.delete(session, made.id, made.state);
    await resource.delete(session, made.id, made.state);
    expect(await resource.read(session, made.id, made.state)).toBeUndefined();
  }

  it("a snapshot of a sandbox, and a sandbox from it, are made, read back and deleted", async () => {
    const box = await provider.sandbox(session, group, { env: { TOKEN: "t" } });
    const news = { sandbox: box.id, labels: { a: "1" } };
    const made = await of(snapshot, news);
    await expectSettled(snapshot, made, news);
    const wanted = {
      snapshot: made.id,
      labels: { copy: "1" },
      lifecycle: { autoSuspendPolicy: { enabled: false } },
      egress: { defaultAction: "Deny" },
      ports: [{ port: 80, auth: { anonymous: true } }],
    };
    const copy = await of(sandbox, wanted);
    expect(copy.state).toMatchObject({ resources: { cpu: "1000m", memory: "2048Mi" } });
    await expectSettled(sandbox, copy, wanted);
    expect((await of(sandbox, wanted, provider.session())).id).toBe(copy.id);
    await expectGone(snapshot, made);
    await expectSettled(sandbox, copy, wanted);
    await expectGone(sandbox, copy);
  });

  it("a snapshot of a suspended sandbox wakes it for the moment", async () => {
    const box = await provider.sandbox(session, group);
    for (const each of stored().sandboxes.values()) each.state = "Stopped";
    const made = await of(snapshot, { sandbox: box.id });
    await expectSettled(snapshot, made, { sandbox: box.id });
    const states = [...stored().sandboxes.values()].map(({ state, settlesTo }) => settlesTo ?? state);
    expect(states).toEqual(["Stopped"]);
  });

  it("volumes are made, mounted, read back and deleted; a disk's size is never changed in place", async () => {
    provider.double.pace.volumePolls = 2;
    const disk = await of(volume, { type: "DataDisk", size: "10Gi", labels: { a: "1" }, __logicalName: "disk" });
    expect(disk.state).toMatchObject({ provisioningState: "Succeeded", size: "10240Mi" });
    const news = { type: "DataDisk", size: "10Gi", labels: { a: "2" } };
    const state = await volume.update(
      session,
      disk.id,
      disk.state,
      inputsOf(volume, session, { group: group.id, ...news }),
    );
    await expectSettled(volume, { id: disk.id, state }, news);
    const larger = inputsOf(volume, session, { group: group.id, ...news, size: "20Gi" });
    expect(volume.diff(session, disk.id, disk.state, larger).replaces).toEqual(["size"]);
    const volumes = [{ volume: disk.id, mountpoint: "/data" }];
    const box = await of(sandbox, { image: "python", volumes });
    await expectSettled(sandbox, box, { image: "python", volumes });
    await expect(volume.delete(session, disk.id, disk.state)).rejects.toThrow(/in use/);
    await sandbox.delete(session, box.id, box.state);
    await expectGone(volume, disk);
  });

  it("a policy with what only Azure's proxy can do is asked for in its words, changed and taken back", async () => {
    const proxy = { url: "http://proxy.test:3128" };
    const rules: NonNullable<EgressPolicy["rules"]> = [
      { name: "asked", match: { host: "a.test" }, hookRef: { endpoint: "https://hook.test", failBehavior: "Deny" } },
      { match: { host: "b.test" }, action: { type: "Rewrite", host: "c.test", routingMode: "Vnet" } },
    ];
    const transportRules: PropertyBag = { defaultAction: "Deny", rules: [{ ...tcp, port: 5432 }] };
    const egress = { rules, defaultForward: proxy, transportRules };
    const box = await of(sandbox, { image: "python", egress });
    const kept = () => [...stored().sandboxes.values()][0]!;
    // Another proxy has a place within http only.
    expect(kept().egressPolicy).toEqual({
      http: { defaultAction: "Deny", rules, defaultForward: proxy },
      transportRules,
    });
    await expectSettled(sandbox, box, { image: "python", egress });
    const news = { image: "python", egress: { rules, transportRules: { ...transportRules, rules: [] } } };
    const state = await sandbox.update(
      session,
      box.id,
      box.state,
      inputsOf(sandbox, session, { group: group.id, ...news }),
    );
    expect(kept().egressPolicy).toEqual({ defaultAction: "Deny", rules, transportRules: news.egress.transportRules });
    await expectSettled(sandbox, { id: box.id, state }, news);
    kept().egressPolicy = { defaultAction: "Deny", rules, transportRules };
    const found = await sandbox.read(session, box.id, state);
    const again = inputsOf(sandbox, session, { group: group.id, ...news });
    expect(sandbox.diff(session, box.id, found?.state ?? {}, again)).toMatchObject({
      changes: [{ path: "egress.transportRules.rules" }],
      replaces: [],
    });
  });

  it("a volume of one's own container is asked for in Azure's words", async () => {
    const news = {
      ...{ type: "AzureBlobByo", name: "mine", storageContainerResourceId: "/subscriptions/s1/container" },
      identity: "/subscriptions/s1/identity",
    };
    const made = await of(volume, news);
    const [sent] = provider.double.sent("PUT", /\/volumes\/mine$/);
    expect(JSON.parse(String(sent?.body))).toMatchObject({
      type: "AzureBlobByo",
      storageContainerResourceId: "/subscriptions/s1/container",
      auth: { kind: "ManagedIdentity", identity: { kind: "UserAssigned", resourceId: "/subscriptions/s1/identity" } },
    });
    await expectSettled(volume, made, news);
    // ARM answers ids in any mixture of cases.
    const kept = stored().volumes.get("mine")!;
    kept.more.storageContainerResourceId = "/SUBSCRIPTIONS/s1/Container";
    await expectSettled(volume, made, news);
    kept.more.auth = { kind: "ManagedIdentity", identity: { kind: "SystemAssigned" } };
    const found = await volume.read(session, made.id, made.state);
    const again = inputsOf(volume, session, { group: group.id, ...news });
    expect(volume.diff(session, made.id, found?.state ?? {}, again).replaces).toEqual(["identity"]);
  });

  it("a volume of an Elastic SAN tells what it became", async () => {
    const news = { type: "Esan", size: "1Gi", __logicalName: "san" };
    const made = await of(volume, news);
    expect(made.state).toMatchObject({ sku: "Premium_ZRS", size: "1024Mi" });
    await expectSettled(volume, made, news);
  });

  it.each([
    [{ type: "AzureBlobByo" }, ["storageContainerResourceId", "identity"]],
    [{ type: "AzureBlobByo", storageContainerResourceId: "/subscriptions/s1/container" }, ["identity"]],
    [{ type: "AzureFileNfs", identity: "system" }, ["identity"]],
    [{ type: "AzureFileCifs", size: "1Gi" }, ["size"]],
    [{ type: "Esan" }, ["size"]],
  ])("a volume that does not fit its type is refused by name: %o", (news, properties) => {
    const { failures } = volume.check(session, {}, { group: group.id, ...news });
    expect(failures.map(({ property }) => property)).toEqual(properties);
  });

  it("a connection to a VNet is made, used by a sandbox, read back and deleted", async () => {
    const made = await of(vnetConnection, { subnetId, __logicalName: "the long name of an office's network" });
    expect(made.id).toBe(`${group.id}/vnetConnections/${made.state.name}`);
    expect(String(made.state.name)).toMatch(/^[A-Za-z0-9-]{1,32}$/);
    await expectSettled(vnetConnection, made, { subnetId });
    // ARM answers ids in any mixture of cases.
    for (const each of stored().vnetConnections.values()) each.subnetId = subnetId.toUpperCase();
    await expectSettled(vnetConnection, made, { subnetId });
    const box = await of(sandbox, { image: "python", vnetConnection: made.id });
    await expectSettled(sandbox, box, { image: "python", vnetConnection: made.id });
    const other = inputsOf(vnetConnection, session, { group: group.id, subnetId: `${subnetId}2` });
    expect(vnetConnection.diff(session, made.id, made.state, other).replaces).toEqual(["subnetId"]);
    await sandbox.delete(session, box.id, box.state);
    await expectGone(vnetConnection, made);
  });

  it("a sandbox has the identities that are declared", async () => {
    const identitySettings = [{ identity: "system", lifecycle: "Main" }, { identity: "/subscriptions/s1/identity" }];
    const box = await of(sandbox, { image: "python", identitySettings });
    await expectSettled(sandbox, box, { image: "python", identitySettings });
    const none = inputsOf(sandbox, session, { group: group.id, image: "python" });
    expect(sandbox.diff(session, box.id, box.state, none).replaces).toEqual(["identitySettings"]);
  });

  it("a connection that fails is kept and mended; one left over with another subnet is removed", async () => {
    provider.double.pace.operationErrors.push({ code: "SubnetIsFull", message: "no address left" });
    const failed = await of(vnetConnection, { subnetId, __logicalName: "net" }).catch((error) => error);
    expect(failed).toBeInstanceOf(InitFailed);
    expect(failed.message).toContain("no address left");
    const news = inputsOf(vnetConnection, session, { group: group.id, subnetId });
    const mended = await vnetConnection.update(session, failed.id, failed.properties, news);
    expect(mended).toMatchObject({ provisioningState: "Succeeded" });
    await of(vnetConnection, { subnetId: `${subnetId}2`, __logicalName: "net" }, provider.session());
    expect([...stored().vnetConnections.values()]).toMatchObject([{ subnetId: `${subnetId}2` }]);
  });

  it.each([0, 1, 200, 400])("a creation whose answer is cut after %i bytes ends in one object", async (cutAt) => {
    const box = await provider.sandbox(session, group);
    const { faults } = provider.double;
    faults.add({ method: "POST", path: /\/snapshot$/, kind: { cutAt } });
    const saved = await of(snapshot, { sandbox: box.id });
    faults.add({ method: "PUT", path: /\/volumes\//, kind: { cutAt } });
    await of(volume, { type: "AzureBlob" });
    faults.add({ plane: "control", method: "PUT", path: /vnetConnections/, kind: { cutAt } });
    await of(vnetConnection, { subnetId });
    const [method, path] = [apiVersion === versions[0] ? "PUT" : "POST", /\/sandboxes$/];
    faults.add({ method, path, kind: { cutAt } });
    await of(sandbox, { __key: keyOf("copy"), snapshot: saved.id });
    expect(faults.hits).toBe(4);
    const { snapshots, volumes, vnetConnections, sandboxes } = stored();
    expect([snapshots, volumes, vnetConnections, sandboxes].map(({ size }) => size)).toEqual([1, 1, 1, 2]);
  });

  it("what was made and never told to a state is taken over by the next process", async () => {
    const box = await provider.sandbox(session, group);
    for (const by of [session, provider.session()]) {
      by.knownIds.add(box.id);
      await of(snapshot, { sandbox: box.id }, by);
      await of(volume, { type: "AzureBlob" }, by);
      await of(vnetConnection, { subnetId }, by);
    }
    const { snapshots, volumes, vnetConnections } = stored();
    expect([snapshots, volumes, vnetConnections].map(({ size }) => size)).toEqual([1, 1, 1]);
  });
});

describe("a connection to a VNet on a host", () => {
  it.each([subnetId, unknownValue])("is refused in the preview, by name and with the mend: %s", async (given) => {
    const provider = await ResourceAzure.start(versions[0]!);
    const session = provider.session({ "sandboxes:target": "microvm" });
    const group =
      "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local/providers/Microsoft.App/sandboxGroups/lab";
    const { failures } = vnetConnection.check(session, {}, { group, subnetId: given });
    await provider.close();
    expect(failures).toMatchObject([{ property: "subnetId", reason: expect.stringContaining("leave it out") }]);
  });
});
