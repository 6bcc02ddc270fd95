import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { PropertyBag } from "../../provider/pulumi/propertyBag";
import type { Session } from "../../provider/pulumi/session";
import { sandbox } from "../../provider/resources/sandbox";
import { snapshot } from "../../provider/resources/snapshot";
import { type Existing, inputsOf, keyOf, make, ResourceHost } from "./resourceHost";

let provider: ResourceHost;
let session: Session;
let group: Existing;
let box: Existing;

beforeEach(async () => {
  provider = await new ResourceHost().start();
  session = provider.session();
  group = await provider.group(session);
  box = await provider.sandbox(session, group, { labels: { tier: "one" } });
});
afterEach(() => provider.close());

const declared = (news: PropertyBag = {}) => ({
  ...{ __key: keyOf("snapshot"), group: group.id, sandbox: box.id, labels: { of: "box" } },
  ...news,
});
const create = (news: PropertyBag = {}, by = session) => make(snapshot, by, declared(news));
const call = async (method: string, path: string, body?: object) =>
  (await provider.host.call(method as "GET", path, body)).body;
const all = () => call("GET", `/subscriptions/s1/resourceGroups/local/sandboxGroups/${group.state.name}/snapshots`);

describe("a snapshot", () => {
  it("is made of a running sandbox, and is unchanged after a refresh", async () => {
    const made = await create();
    expect(made.state).toMatchObject({ sizeInMB: 39, resources: { cpu: "1000m", memory: "512Mi" } });
    expect(await call("GET", made.id)).toMatchObject({ labels: { of: "box" }, sandboxId: box.state.sandboxId });
    const found = await snapshot.read(provider.session(), made.id, made.state);
    expect(found?.state).toEqual(made.state);
    const again = inputsOf(snapshot, session, declared());
    expect(snapshot.diff(session, made.id, found?.state ?? {}, again).changes).toEqual([]);
    expect((await call("GET", box.id)).state).toBe("Running");
  });

  it("is also made of a sandbox that is stopped, and leaves it stopped", async () => {
    await call("POST", `${box.id}/stop`, {});
    const made = await create();
    expect((await call("GET", made.id)).sandboxId).toBe(box.state.sandboxId);
    expect((await call("GET", box.id)).state).toBe("Stopped");
  });

  it.each([
    ["sandbox", { sandbox: "00000000-0000-4000-8000-000000000000" }],
    ["labels", { labels: {} }],
  ])("is replaced when %s changes", async (name, news) => {
    const made = await create();
    const { replaces } = snapshot.diff(session, made.id, made.state, inputsOf(snapshot, session, declared(news)));
    expect(replaces).toEqual([name]);
  });

  it("is gone when somebody else deleted it, and deleting it again is no failure", async () => {
    const made = await create();
    await call("DELETE", made.id);
    expect(await snapshot.read(provider.session(), made.id, made.state)).toBeUndefined();
    await snapshot.delete(session, made.id, made.state);
  });

  it("outlives its sandbox", async () => {
    const made = await create();
    await sandbox.delete(session, box.id, box.state);
    const found = await snapshot.read(provider.session(), made.id, made.state);
    expect(found?.state).toEqual(made.state);
  });

  it("is taken over after a lost answer; one of other labels that was left over is removed", async () => {
    const lost = await create();
    expect((await create({}, provider.session())).id).toBe(lost.id);
    const other = await create({ labels: {} }, provider.session());
    expect((await all()).map(({ id }: { id: string }) => id)).toEqual([other.state.snapshotId]);
  });

  it("leaves alone one of the state's, so that a replacement is another", async () => {
    const first = await create();
    const second = await create();
    expect(second.id).not.toBe(first.id);
    expect(await all()).toHaveLength(2);
  });

  it("is refused for what is no sandbox", () => {
    expect(snapshot.check(session, {}, declared({ sandbox: "box" })).failures).toMatchObject([
      { property: "sandbox", reason: expect.stringContaining("not the id of a sandbox") },
    ]);
  });
});

describe("a sandbox made from a snapshot", () => {
  const copyOf = (id: string, news: PropertyBag = {}) => ({
    ...{ __key: keyOf("copy"), group: group.id, snapshot: id, labels: { copy: "1" } },
    ...news,
  });

  it("has the snapshot's size, and what is declared beside it; it is unchanged after a refresh", async () => {
    const { id } = await create();
    const news = copyOf(id, {
      egress: { defaultAction: "Allow" },
      lifecycle: { autoSuspendPolicy: { enabled: true, interval: 60 } },
    });
    const made = await make(sandbox, session, news);
    expect(made.state).toMatchObject({ state: "Running", resources: { memory: "512Mi" }, snapshot: id });
    expect(made.state).not.toHaveProperty("memory");
    expect(await call("GET", made.id)).toMatchObject({
      labels: { copy: "1" },
      egressPolicy: { defaultAction: "Allow" },
      lifecycle: { autoSuspendPolicy: { enabled: true, interval: 60 } },
    });
    const found = await sandbox.read(provider.session(), made.id, made.state);
    expect(found?.state).toEqual(made.state);
    const again = inputsOf(sandbox, session, news);
    expect(sandbox.diff(session, made.id, found?.state ?? {}, again).changes).toEqual([]);
  });

  it("is taken over after a lost answer, and replaced for another snapshot or an image", async () => {
    const { id } = await create();
    const lost = await make(sandbox, session, copyOf(id));
    const made = await make(sandbox, provider.session(), copyOf(id));
    expect(made.id).toBe(lost.id);
    const replacesWith = (news: PropertyBag) =>
      sandbox.diff(session, made.id, made.state, inputsOf(sandbox, session, { group: group.id, ...news })).replaces;
    expect(replacesWith({ snapshot: "00000000-0000-4000-8000-000000000000" })).toContain("snapshot");
    expect(replacesWith({ image: "python" })).toEqual(expect.arrayContaining(["image", "snapshot"]));
  });

  it("goes on when the snapshot is deleted, and does not look changed", async () => {
    const first = await create();
    const made = await make(sandbox, session, copyOf(first.id));
    await snapshot.delete(session, first.id, first.state);
    expect((await sandbox.read(provider.session(), made.id, made.state))?.state).toEqual(made.state);
  });

  it.each([
    [{ image: "python" }, "snapshot: give one of image, snapshot,"],
    [{ snapshot: undefined }, "image: give one of image, snapshot,"],
    [{ cpu: "2" }, "cpu: a sandbox made from a snapshot has the snapshot's"],
    [{ env: { TOKEN: "t0p-secret" } }, ": env: a sandbox made from a snapshot has the snapshot's"],
  ])("is refused with %o, by name", (news, text) => {
    const { failures } = sandbox.check(session, {}, copyOf("00000000-0000-4000-8000-000000000000", news));
    expect(failures.map(({ property, reason }) => `${property}: ${reason}`)).toEqual([expect.stringContaining(text)]);
  });
});
