import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { PropertyBag } from "../../provider/pulumi/propertyBag";
import type { Session } from "../../provider/pulumi/session";
import { sandbox } from "../../provider/resources/sandbox";
import { volume } from "../../provider/resources/volume";
import { type Existing, inputsOf, keyOf, make, ResourceHost } from "./resourceHost";

let provider: ResourceHost;
let session: Session;
let group: Existing;

beforeEach(async () => {
  provider = await new ResourceHost().start();
  session = provider.session();
  group = await provider.group(session);
});
afterEach(() => provider.close());

const declared = (news: PropertyBag = {}) => ({
  ...{ __key: keyOf("volume"), __logicalName: "my data", group: group.id, type: "DataDisk", size: "1Gi" },
  ...news,
});
const create = (news: PropertyBag = {}, by = session) => make(volume, by, declared(news));
const call = async (method: string, path: string, body?: object) =>
  (await provider.host.call(method as "GET", path, body)).body;
const path = (name = "") => `/subscriptions/s1/resourceGroups/local/sandboxGroups/${group.state.name}/volumes${name}`;
const changesOf = async (made: Existing, news: PropertyBag = {}) => {
  const found = await volume.read(provider.session(), made.id, made.state);
  return volume.diff(session, made.id, found?.state ?? {}, inputsOf(volume, session, declared(news)));
};

describe("a volume", () => {
  it("is made under a name made for it, and is unchanged after a refresh", async () => {
    const made = await create({ labels: { a: "1" } });
    expect(made.state.name).toMatch(/^my-data-[0-9a-f]{10}$/);
    expect(made.id).toBe(path(`/${made.state.name}`));
    expect(await call("GET", made.id)).toMatchObject({ type: "DataDisk", size: "1024Mi", labels: { a: "1" } });
    expect((await volume.read(provider.session(), made.id, made.state))?.state).toEqual(made.state);
    expect((await changesOf(made, { labels: { a: "1" } })).changes).toEqual([]);
  });

  it("grows and changes its labels in place; a smaller size is refused and nothing is lost", async () => {
    const made = await create({ labels: { a: "1" } });
    const news = inputsOf(volume, session, declared({ size: "2Gi", labels: { b: "2" } }));
    expect(volume.diff(session, made.id, made.state, news)).toMatchObject({ replaces: [] });
    const state = await volume.update(session, made.id, made.state, news);
    const live = await call("GET", made.id);
    expect(live).toMatchObject({ size: "2048Mi", labels: { b: "2", "pulumi-key": keyOf("volume") } });
    expect(live.labels).not.toHaveProperty("a");
    const smaller = inputsOf(volume, session, declared({ size: "512Mi" }));
    await expect(volume.update(session, made.id, state, smaller)).rejects.toThrow(/cannot become smaller/);
  });

  it("tells what somebody else changed, and when it is gone", async () => {
    const made = await create({ labels: { a: "1" } });
    await call("PUT", made.id, { type: "DataDisk", size: "3Gi", labels: { a: "2" } });
    const { changes } = await changesOf(made, { labels: { a: "1" } });
    expect(changes.map(({ path }) => path)).toEqual(["labels.a", "size"]);
    await call("DELETE", made.id);
    expect(await volume.read(provider.session(), made.id, made.state)).toBeUndefined();
    await volume.delete(session, made.id, made.state);
  });

  it.each([{}, { name: "mine" }])("is taken over with its files after a lost answer: %o", async (given) => {
    const lost = await create(given);
    const found = await create({ ...given, labels: { now: "1" } }, provider.session());
    expect(found.id).toBe(lost.id);
    expect(await call("GET", found.id)).toMatchObject({ labels: { now: "1" } });
    await expect(create({ ...given, type: "AzureBlob" }, provider.session())).rejects.toThrow(/exists as DataDisk/);
  });

  it("never takes over one of the same name that is not its own", async () => {
    await call("PUT", path("/theirs"), { type: "DataDisk", size: "1Gi" });
    await expect(create({ name: "theirs" })).rejects.toThrow(/exists and is not of this stack/);
  });

  it("is replaced for another type or name, and deleted first where the name is the same", async () => {
    const made = await create({ name: "mine" });
    const diff = (news: PropertyBag) =>
      volume.diff(session, made.id, made.state, inputsOf(volume, session, declared({ name: "mine", ...news })));
    expect(diff({ type: "AzureBlob" })).toMatchObject({ replaces: ["type"], deleteBeforeReplace: true });
    expect(diff({ name: "other" })).toMatchObject({ replaces: ["name"], deleteBeforeReplace: false });
  });

  it.each([
    ["size", { size: undefined }, "a DataDisk needs a size"],
    ["type", { type: "AzureBlobByo", storageContainerResourceId: undefined, size: undefined }, "not on target microvm"],
    ["storageContainerResourceId", { storageContainerResourceId: "/x" }, "the host keeps the files itself"],
    ["identity", { identity: "system" }, "the host keeps the files itself"],
    ["name", { name: "a/b" }, "1 to 63 letters"],
  ])("is refused by its %s: %o", (property, news, reason) => {
    expect(volume.check(session, {}, declared(news)).failures).toContainEqual({
      property,
      reason: expect.stringContaining(reason),
    });
  });
});

describe("a sandbox's volumes", () => {
  const box = (volumes: object[]) => ({ __key: keyOf("box"), group: group.id, image: "python", volumes });

  it("are mounted from the beginning, and unchanged after a refresh", async () => {
    const disk = await create();
    const shared = await create({ name: "Shared", type: "AzureBlob", size: undefined });
    const news = box([
      { volume: shared.id, mountpoint: "/srv//shared/", readOnly: true },
      { volume: String(disk.state.name), mountpoint: "/data" },
    ]);
    const made = await make(sandbox, session, news);
    expect((await call("GET", made.id)).volumes).toEqual([
      { volumeName: "Shared", mountpoint: "/srv/shared", readOnly: true },
      { volumeName: disk.state.name, mountpoint: "/data", readOnly: false },
    ]);
    const found = await sandbox.read(provider.session(), made.id, made.state);
    expect(found?.state).toEqual(made.state);
    const again = inputsOf(sandbox, session, news);
    expect(sandbox.diff(session, made.id, found?.state ?? {}, again).changes).toEqual([]);
    await expect(volume.delete(session, disk.id, disk.state)).rejects.toThrow(/has it/);
  });

  it("replace it when they change; it is deleted first, for a disk is for one", async () => {
    const { id } = await create();
    const made = await make(sandbox, session, box([{ volume: id, mountpoint: "/data" }]));
    const diff = (volumes: object[]) =>
      sandbox.diff(session, made.id, made.state, inputsOf(sandbox, session, box(volumes)));
    expect(diff([{ volume: id, mountpoint: "/other" }])).toMatchObject({
      replaces: ["volumes"],
      deleteBeforeReplace: true,
    });
    expect(diff([])).toMatchObject({ replaces: ["volumes"], deleteBeforeReplace: false });
  });

  it("tell by property when somebody mounted another one", async () => {
    const { id } = await create();
    const made = await make(sandbox, session, box([{ volume: id, mountpoint: "/data" }]));
    await call("PUT", path("/theirs"), { type: "AzureBlob" });
    await call("POST", `${made.id}/volumes/add`, { volumeMount: { volumeName: "theirs", mountpoint: "/x" } });
    const found = await sandbox.read(provider.session(), made.id, made.state);
    const news = inputsOf(sandbox, session, box([{ volume: id, mountpoint: "/data" }]));
    expect(sandbox.diff(session, made.id, found?.state ?? {}, news).changes).toMatchObject([{ path: "volumes" }]);
  });

  it.each([
    [[{ volume: "a", mountpoint: "data" }], "absolute path"],
    [
      [
        { volume: "a", mountpoint: "/x" },
        { volume: "A", mountpoint: "/y" },
      ],
      "twice",
    ],
    [
      [
        { volume: "a", mountpoint: "/x" },
        { volume: "b", mountpoint: "/x/y" },
      ],
      "not one within another",
    ],
    [[{ volume: "a", mountpoint: "/proc/1" }], "not over /proc"],
  ])("are refused where they cannot be: %o", (volumes, reason) => {
    const { failures } = sandbox.check(session, {}, box(volumes));
    expect(failures).toMatchObject([{ reason: expect.stringContaining(reason) }]);
  });
});
