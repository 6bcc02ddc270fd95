import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { SandboxesError } from "../../provider/client/errors";
import { diskImage } from "../../provider/resources/diskImage";
import { type Existing, inputsOf, ResourceHost } from "./resourceHost";

let provider: ResourceHost;
let group: Existing;

beforeEach(async () => {
  provider = await new ResourceHost().start();
  group = await provider.group(provider.session());
});
afterEach(() => provider.close());

describe("a disk image", () => {
  it("is imported, pinned by digest, and unchanged after a refresh", async () => {
    const session = provider.session();
    const { id, state } = await provider.image(session, group, { image: "python:3.12", labels: { a: "1" } });
    expect(id).toBe(
      `/subscriptions/s1/resourceGroups/local/sandboxGroups/${group.state.name}/diskimages/${state.diskImageId}`,
    );
    expect(state).toMatchObject({
      state: "Ready",
      digest: expect.stringMatching(/^sha256:/),
      reference: "python:3.12",
    });
    const found = await diskImage.read(session, id, state);
    expect(found?.state).toEqual(state);
  });

  it("waits for an import that takes its time", async () => {
    provider.host.shelf.beforeImport = () => new Promise((done) => setTimeout(done, 1_500));
    expect((await provider.image(provider.session(), group)).state).toMatchObject({ state: "Ready" });
  });

  it("hands over credentials for the import, and a change of them changes nothing", async () => {
    const session = provider.session();
    const credentials = { username: "me", password: "p" };
    const { id, state } = await provider.image(session, group, { credentials });
    expect(provider.host.shelf.imports[0]?.options?.credentials).toEqual(credentials);
    const news = { group: group.id, image: "python", credentials: { username: "me", password: "q" } };
    const difference = diskImage.diff(session, id, state, inputsOf(diskImage, session, news));
    expect(difference).toMatchObject({ replaces: [], changes: [{ path: "credentials.password" }] });
    expect(await diskImage.update(session, id, state, inputsOf(diskImage, session, news))).toMatchObject({
      credentials: { password: "q" },
      digest: state.digest,
    });
  });

  it("leaves nothing of an import that failed, and says why", async () => {
    const image = provider.image(provider.session(), group, { image: "missing:1" });
    await expect(image).rejects.toThrow(/missing:1/);
    expect(await provider.counts()).toMatchObject({ diskImages: 0 });
  });

  it("is replaced when its import has failed after all", async () => {
    const session = provider.session();
    const { id, state } = await provider.image(session, group);
    const news = inputsOf(diskImage, session, { group: group.id, image: "python" });
    expect(diskImage.diff(session, id, { ...state, state: "Failed" }, news).replaces).toEqual(["state"]);
  });

  it("is replaced when the reference changes, and takes local paths from the program's folder", () => {
    const session = provider.session();
    const news = inputsOf(diskImage, session, { group: group.id, image: "oci:images/mine:latest" });
    expect(news.image).toBe(`oci:${process.cwd()}/images/mine:latest`);
    expect(diskImage.diff(session, "id", { group: group.id, image: "python" }, news).replaces).toEqual(["image"]);
  });

  it("is taken over after a lost answer, or removed when it is not the one wanted", async () => {
    const lost = await provider.image(provider.session(), group);
    const found = await provider.image(provider.session(), group);
    expect(found.id).toBe(lost.id);
    const other = await provider.image(provider.session(), group, { image: "ubuntu" });
    expect(other.id).not.toBe(lost.id);
    expect(await provider.counts()).toMatchObject({ diskImages: 1 });
  });

  it("is made anew beside the one that the state knows", async () => {
    const session = provider.session();
    const first = await provider.image(session, group);
    diskImage.diff(session, first.id, first.state, inputsOf(diskImage, session, { group: group.id, image: "ubuntu" }));
    const second = await provider.image(session, group, { image: "ubuntu" });
    expect(second.id).not.toBe(first.id);
    await diskImage.delete(session, first.id, first.state);
    expect(await diskImage.read(session, first.id, first.state)).toBeUndefined();
    expect(await provider.counts()).toMatchObject({ diskImages: 1 });
  });

  it("is gone with its group", async () => {
    const session = provider.session();
    const { id, state } = await provider.image(session, group);
    await provider.host.call("DELETE", group.id);
    expect(await diskImage.read(session, id, state)).toBeUndefined();
    await diskImage.delete(session, id, state);
  });

  it("keeps the id of an import that could not be waited for, so that the next run goes on with it", async () => {
    let fail: (error: Error) => void = () => undefined;
    provider.host.shelf.beforeImport = () => new Promise((_done, reject) => (fail = reject));
    const session = provider.session();
    const api = await session.api({ subscriptionId: "s1", resourceGroupName: "local" });
    const creating = provider.image(session, group);
    const waiting = expect(creating).rejects.toMatchObject({
      name: "InitFailed",
      id: expect.stringContaining("/diskimages/"),
    });
    await expect.poll(() => provider.host.shelf.imports.length).toBe(1);
    await expect.poll(async () => (await provider.counts()).diskImages).toBe(1);
    await api.close();
    await waiting;
    fail(new SandboxesError("RegistryFailed", "enough"));
  });
});
