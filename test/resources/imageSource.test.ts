import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { PropertyBag } from "../../provider/pulumi/propertyBag";
import type { Session } from "../../provider/pulumi/session";
import { diskImage } from "../../provider/resources/diskImage";
import { ResourceAzure } from "./resourceAzure";
import { type Existing, inputsOf, keyOf, make, ResourceHost } from "./resourceHost";

const commit = { __key: keyOf("image"), labels: { made: "of-files" } };

async function expectSettled(session: Session, made: Existing, news: PropertyBag): Promise<void> {
  const found = await diskImage.read(session, made.id, made.state);
  expect(found?.state).toEqual(made.state);
  expect(diskImage.diff(session, made.id, found?.state ?? {}, inputsOf(diskImage, session, news)).changes).toEqual([]);
}

describe("an image of a sandbox's files", () => {
  let provider: ResourceHost;
  let session: Session;
  let group: Existing;
  let box: Existing;

  beforeEach(async () => {
    provider = await new ResourceHost().start();
    session = provider.session();
    group = await provider.group(session);
    box = await provider.sandbox(session, group);
  });
  afterEach(() => provider.close());

  it("is made of a running sandbox, is unchanged after a refresh, and makes sandboxes", async () => {
    const news = { ...commit, group: group.id, sandbox: box.id };
    const made = await make(diskImage, session, news);
    expect(made.state).toMatchObject({ state: "Ready", sandbox: box.id });
    await expectSettled(provider.session(), made, news);
    await provider.sandbox(session, group, { __key: keyOf("second"), image: made.id });
    const other = inputsOf(diskImage, session, { ...news, sandbox: "00000000-0000-4000-8000-000000000000" });
    expect(diskImage.diff(session, made.id, made.state, other).replaces).toEqual(["sandbox"]);
  });

  it("is also made of a stopped sandbox, and taken over after a lost answer", async () => {
    await provider.host.call("POST", `${box.id}/stop`, {});
    const news = { ...commit, group: group.id, sandbox: box.id };
    const lost = await make(diskImage, session, news);
    expect((await make(diskImage, provider.session(), news)).id).toBe(lost.id);
    expect((await provider.host.call("GET", box.id)).body.state).toBe("Stopped");
    expect(await provider.counts()).toMatchObject({ diskImages: 1 });
  });

  it.each([
    [{ sandbox: undefined }, "image: give one of image, sandbox and blob"],
    [{ image: "python" }, "sandbox: give one of image, sandbox and blob"],
    [{ sandbox: "box" }, "sandbox: not the id of a sandbox"],
    [{ cmd: ["sh"] }, "cmd: an image of a sandbox's files has what the sandbox's own image has"],
    [{ credentials: { username: "me", password: "s3cr3t-pass" } }, ": credentials: an image of a sandbox's files"],
  ])("is refused with %o, by name", (news, text) => {
    const { failures } = diskImage.check(session, {}, { ...commit, group: group.id, sandbox: box.id, ...news });
    expect(failures.map(({ property, reason }) => `${property}: ${reason}`)).toEqual([expect.stringContaining(text)]);
    expect(JSON.stringify(failures)).not.toContain("s3cr3t-pass");
  });
});

describe.each(["2026-02-01-preview", "2026-09-01-preview"])("an image on Azure, data plane %s,", (apiVersion) => {
  const isNewer = apiVersion === "2026-09-01-preview";
  const blob = "https://account.blob.core.windows.net/images/app.tar";
  const identity = "/subscriptions/s1/identity";
  let provider: ResourceAzure;
  let session: Session;
  let group: Existing;

  beforeEach(async () => {
    provider = await ResourceAzure.start(apiVersion);
    session = provider.session();
    group = await provider.group(session);
  });
  afterEach(() => provider.close());

  const sent = () => JSON.parse(String(provider.double.sent(isNewer ? "POST" : "PUT", /\/diskimages$/)[0]?.body));
  const failuresOf = (news: PropertyBag) =>
    diskImage.check(session, {}, { group: group.id, ...news }).failures.map(({ property }) => property);

  it("is made of a sandbox's files", async () => {
    const box = await provider.sandbox(session, group);
    const news = { ...commit, group: group.id, sandbox: box.id };
    const made = await make(diskImage, session, news);
    await expectSettled(provider.session(), made, news);
    provider.double.faults.add({ method: "POST", path: /\/commit$/, kind: { cutAt: 0 } });
    await make(diskImage, session, { ...news, __key: keyOf("lost") });
    expect(provider.double.counts()).toMatchObject({ diskImages: 2 });
  });

  it("is pulled by an identity, in the words of that version", async () => {
    const news = { group: group.id, image: "mine.azurecr.io/app:1", identity };
    const made = await provider.image(session, group, news);
    await expectSettled(provider.session(), made, news);
    expect(sent()).toMatchObject(
      isNewer
        ? { source: { authentication: { identity: { type: "UserAssigned", identityResourceId: identity } } } }
        : { managedIdentityResourceId: identity },
    );
    expect(failuresOf({ image: "a/b:1", identity: "system" })).toEqual(isNewer ? [] : ["identity"]);
    expect(failuresOf({ image: "a/b:1", identity, credentials: { username: "a", password: "b" } })).toEqual([
      "identity",
    ]);
  });

  it("is pulled through a network where the version has a word for it", async () => {
    const news = { image: "python:3.12", vnetConnection: `${group.id}/vnetConnections/office` };
    if (!isNewer) {
      expect(failuresOf(news)).toEqual(["vnetConnection"]);
      return;
    }
    const made = await provider.image(session, group, news);
    await expectSettled(provider.session(), made, { group: group.id, ...news });
    expect(sent()).toMatchObject({ source: { kind: "registry" }, vnetConnectionName: "office" });
  });

  it("is made of a blob where the version has a word for it", async () => {
    if (!isNewer) {
      expect(failuresOf({ blob })).toEqual(["blob"]);
      return;
    }
    const made = await provider.image(session, group, { image: undefined, blob });
    await expectSettled(provider.session(), made, { group: group.id, blob });
    expect(sent()).toMatchObject({ source: { kind: "blob", blobSourceUri: blob } });
    expect(failuresOf({ blob, identity })).toEqual(["identity"]);
  });
});
