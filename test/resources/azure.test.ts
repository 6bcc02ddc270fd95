import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Resource } from "../../provider/pulumi/defineResource";
import { InitFailed } from "../../provider/pulumi/initFailed";
import type { PropertyBag } from "../../provider/pulumi/propertyBag";
import { Session } from "../../provider/pulumi/session";
import { diskImage } from "../../provider/resources/diskImage";
import { sandbox } from "../../provider/resources/sandbox";
import { sandboxGroup } from "../../provider/resources/sandboxGroup";
import { nothing } from "../azure/double/azureDouble";
import { throttled } from "../azure/double/faults";
import { ResourceAzure } from "./resourceAzure";
import { type Existing, inputsOf, keyOf } from "./resourceHost";

const versions = ["2026-02-01-preview", "2026-09-01-preview"];

describe.each(versions)("on Azure, data plane %s,", (apiVersion) => {
  let provider: ResourceAzure;

  beforeEach(async () => {
    provider = await ResourceAzure.start(apiVersion);
  });
  afterEach(() => provider.close());

  const counts = () => provider.double.counts();

  /** Nothing to do after a refresh, with the same arguments. */
  async function expectSettled(resource: Resource, made: Existing, news: PropertyBag): Promise<void> {
    const session = provider.session();
    const found = await resource.read(session, made.id, made.state);
    expect(found?.state).toEqual(made.state);
    const again = inputsOf(resource, session, news);
    expect(resource.diff(session, made.id, found?.state ?? {}, again).changes).toEqual([]);
  }

  it("a group, an image and a sandbox are made, read back and deleted", async () => {
    const session = provider.session();
    const group = await provider.group(session, { tags: { team: "red" } });
    expect(group.id).toBe(
      `/subscriptions/${provider.double.subscriptionId}/resourceGroups/rg-double/providers/Microsoft.App/sandboxGroups/${group.state.name}`,
    );
    expect(group.state).toMatchObject({ target: "azure", location: "eastus2", provisioningState: "Succeeded" });
    expect(group.state.managementEndpoint).toBe(provider.double.dataEndpoint);
    await expectSettled(sandboxGroup, group, { tags: { team: "red" } });

    const image = await provider.image(session, group, { labels: { a: "1" } });
    expect(image.state).toMatchObject({ state: "Ready", reference: "python:3.12", sizeInMB: 56 });
    await expectSettled(diskImage, image, { group: group.id, image: "python:3.12", labels: { a: "1" } });

    const news = { image: image.id, labels: { b: "2" }, env: { TOKEN: "t0p" }, entrypoint: ["sleep"] };
    const box = await provider.sandbox(session, group, news);
    expect(box.state).toMatchObject({ state: "Running", cpu: "1000m", memory: "2048Mi" });
    expect(box.state.resources).toEqual({ cpu: "1000m", memory: "2048Mi", disk: "10240Mi" });
    await expectSettled(sandbox, box, { group: group.id, ...news });

    for (const [resource, made] of [
      [sandbox, box],
      [diskImage, image],
      [sandboxGroup, group],
    ] as const) {
      await resource.delete(session, made.id, made.state);
      await resource.delete(session, made.id, made.state);
      expect(await resource.read(session, made.id, made.state)).toBeUndefined();
    }
    expect(counts()).toEqual(nothing);
  });

  it("a small sandbox gets the disk that goes with its cpu", async () => {
    const session = provider.session();
    const group = await provider.group(session);
    const box = await provider.sandbox(session, group, { cpu: "250m", memory: "512Mi" });
    expect(box.state.resources).toMatchObject({ disk: "5120Mi" });
  });

  it("a sandbox is replaced when its labels change, and says so in the diff", async () => {
    const session = provider.session();
    const group = await provider.group(session);
    const box = await provider.sandbox(session, group, { labels: { a: "1" } });
    const news = inputsOf(sandbox, session, { group: group.id, image: "python", labels: { a: "2" } });
    expect(sandbox.diff(session, box.id, box.state, news).replaces).toEqual(["labels"]);
  });

  it("a suspended sandbox is as it should be, one that is gone is not", async () => {
    const session = provider.session();
    const group = await provider.group(session);
    const box = await provider.sandbox(session, group, { entrypoint: ["sleep"] });
    const [stored] = provider.double.control.groups.values();
    for (const each of stored?.sandboxes.values() ?? []) {
      each.state = "Stopped";
      each.vm.crash("not needed");
    }
    const found = await sandbox.read(session, box.id, box.state);
    const again = inputsOf(sandbox, session, { group: group.id, image: "python", entrypoint: ["sleep"] });
    expect(sandbox.diff(session, box.id, found?.state ?? {}, again).changes).toEqual([]);
    stored?.sandboxes.clear();
    expect(await sandbox.read(session, box.id, box.state)).toBeUndefined();
  });

  it("tags of a group change in place, and a region may be spelled as people do", async () => {
    const session = provider.session();
    const group = await provider.group(session, { location: "East US 2", tags: { a: "1" } });
    const news = inputsOf(sandboxGroup, session, { location: "eastus2", tags: { a: "2" } });
    expect(sandboxGroup.diff(session, group.id, group.state, news)).toMatchObject({ replaces: [] });
    const updated = await sandboxGroup.update(session, group.id, group.state, news);
    expect(updated.tags).toEqual({ a: "2" });
    const [stored] = provider.double.control.groups.values();
    expect(stored?.tags).toEqual({ a: "2", "pulumi-key": keyOf("group"), "pulumi-inputs": expect.any(String) });
  });

  it("moving from one target to the other replaces", async () => {
    const session = provider.session();
    const group = await provider.group(session, { name: "lab" });
    const news = inputsOf(sandboxGroup, session, { name: "lab", target: "microvm" });
    expect(sandboxGroup.diff(session, group.id, group.state, news).replaces).toContain("target");
  });

  it("an object whose creation was not answered is taken over, not made twice", async () => {
    const group = await provider.group(provider.session());
    await provider.image(provider.session(), group);
    await provider.sandbox(provider.session(), group, { labels: { a: "1" } });
    const session = provider.session();
    await provider.group(session);
    await provider.image(session, group);
    await provider.sandbox(session, group, { labels: { a: "1" } });
    expect(counts()).toEqual({ ...nothing, groups: 1, diskImages: 1, sandboxes: 1 });
    await provider.sandbox(provider.session(), group, { labels: { a: "2" } });
    expect(counts()).toEqual({ ...nothing, groups: 1, diskImages: 1, sandboxes: 1 });
  });

  it.each([0, 1, 20, 200, 400])("a creation whose answer is cut after %i bytes ends in one object", async (cutAt) => {
    const { faults } = provider.double;
    const session = provider.session();
    faults.add({ plane: "control", method: "PUT", kind: { cutAt } });
    const group = await provider.group(session);
    faults.add({ path: /\/diskimages$/, kind: { cutAt }, method: apiVersion === versions[0] ? "PUT" : "POST" });
    await provider.image(session, group);
    faults.add({ path: /\/sandboxes$/, kind: { cutAt }, method: apiVersion === versions[0] ? "PUT" : "POST" });
    await provider.sandbox(session, group);
    expect(faults.hits).toBe(3);
    expect(counts()).toEqual({ ...nothing, groups: 1, diskImages: 1, sandboxes: 1 });
  });

  it("a group whose provisioning fails once is mended, one that goes on failing is kept to be mended", async () => {
    const broken = { code: "SubnetIsFull", message: "no address left" };
    provider.double.pace.operationErrors.push(broken);
    const first = await provider.group(provider.session());
    expect(first.state).toMatchObject({ provisioningState: "Succeeded" });
    await sandboxGroup.delete(provider.session(), first.id, first.state);

    provider.double.pace.operationErrors.push(broken, broken, broken);
    const failed = await provider.group(provider.session()).catch((error) => error);
    expect(failed).toBeInstanceOf(InitFailed);
    expect(failed.message).toContain("no address left");
    expect(failed.properties).toMatchObject({ provisioningState: "Failed" });
    provider.double.pace.operationErrors.length = 0;
    const session = provider.session();
    const mended = await sandboxGroup.update(
      session,
      failed.id,
      failed.properties,
      inputsOf(sandboxGroup, session, {}),
    );
    expect(mended).toMatchObject({ provisioningState: "Succeeded" });
    expect(counts()).toMatchObject({ groups: 1 });
  });

  it("an image that cannot be pulled leaves nothing and tells Azure's reason", async () => {
    const session = provider.session();
    const group = await provider.group(session);
    const credentials = { username: "me", password: "registry-pass" };
    const made = provider.image(session, group, { image: "private/app:1", credentials });
    await expect(made).rejects.toMatchObject({ message: expect.stringContaining("RegistryAuthFailed") });
    expect(counts()).toMatchObject({ diskImages: 0 });
  });

  it("a role that takes its time, throttling and slow pages are ridden out", async () => {
    Object.assign(provider.double.pace, { roleDelayMs: 200, createPolls: 2, hiddenGets: 2 });
    const session = provider.session();
    const group = await provider.group(session);
    provider.double.faults.add({ plane: "data", times: 4, kind: throttled(0) });
    await provider.sandbox(session, group);
    expect(counts()).toMatchObject({ sandboxes: 1 });
  });

  it("what Azure cannot do is refused by name", () => {
    const session = provider.session();
    const group = "/subscriptions/s/resourceGroups/r/providers/Microsoft.App/sandboxGroups/g";
    const failuresOf = (resource: Resource, news: PropertyBag) =>
      resource.check(session, {}, news).failures.map(({ property, reason }) => `${property}: ${reason}`);
    expect(failuresOf(diskImage, { group, image: "oci:/tmp/x", warmUp: ["true"] })).toEqual([
      expect.stringContaining("image: not on target azure: Azure pulls from registries only"),
      expect.stringContaining("warmUp: not on target azure"),
    ]);
    const newer = apiVersion === versions[1];
    expect(failuresOf(diskImage, { group, image: "python:3", entrypoint: ["x"] })).toHaveLength(newer ? 1 : 0);
    expect(failuresOf(sandboxGroup, { tags: { "a<b": "1" } })[0]).toContain("tags:");
    expect(failuresOf(sandboxGroup, { tags: { a: "1", A: "2" } })[0]).toContain("does not tell cases apart");
    expect(failuresOf(sandboxGroup, { requireHardwareIsolation: true })).toEqual([]);
  });
});

describe("one program with both targets", () => {
  it("tells them apart by the group, by the state, and by the subscription of an id", () => {
    const session = new Session(() => Promise.reject(new Error("nothing is opened here")));
    const config: Record<string, string> = { "sandboxes:target": "azure" };
    session.configure((key) => config[key]);
    const idIn = (subscription: string) =>
      `/subscriptions/${subscription}/resourceGroups/r/providers/Microsoft.App/sandboxGroups/g`;
    const local = idIn("00000000-0000-0000-0000-000000000000");
    const targetOf = (news: PropertyBag) => sandbox.check(session, {}, { image: "python", ...news }).inputs.__target;
    expect(targetOf({ group: local })).toBe("microvm");
    expect(targetOf({ group: idIn("s") })).toBe("azure");
    expect(targetOf({ group: idIn("s"), __target: "microvm" })).toBe("microvm");
    expect(sandbox.check(session, {}, { image: "python", group: local }).inputs).toMatchObject({ memory: "512Mi" });
    expect(sandbox.check(session, {}, { image: "python", group: idIn("s") }).inputs).not.toHaveProperty("disk");
  });
});
