import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { sandbox } from "../../provider/resources/sandbox";
import { type Existing, inputsOf, keyOf, ResourceHost } from "./resourceHost";

let provider: ResourceHost;
let group: Existing;

beforeEach(async () => {
  provider = await new ResourceHost().start();
  group = await provider.group(provider.session());
});
afterEach(() => provider.close());

const liveOf = async ({ id }: Existing) => (await provider.host.call("GET", id)).body;

describe("a sandbox", () => {
  it("runs with what it was given, and is unchanged after a refresh", async () => {
    const session = provider.session();
    const image = await provider.image(session, group);
    const news = { image: image.id, cpu: 2, memory: "1Gi", labels: { a: "1" }, entrypoint: ["sleep"], cmd: ["60"] };
    const made = await provider.sandbox(session, group, news);
    expect(made.state).toMatchObject({
      state: "Running",
      isolation: "none",
      resources: { cpu: "2000m", memory: "1024Mi", disk: "10240Mi" },
    });
    expect(await liveOf(made)).toMatchObject({ entrypoint: ["sleep"], cmd: ["60"], labels: { a: "1" } });
    const found = await sandbox.read(session, made.id, made.state);
    expect(found?.state).toEqual(made.state);
    const again = inputsOf(sandbox, session, { group: group.id, ...news });
    expect(sandbox.diff(session, made.id, found?.state ?? {}, again).changes).toEqual([]);
  });

  it.each(["guid", "id", "name"])(
    "is made from an image given by %s, and remembers it in these words",
    async (form) => {
      const session = provider.session();
      const image = await provider.image(session, group);
      const given = { guid: String(image.state.diskImageId), id: image.id, name: "python" }[form] as string;
      const made = await provider.sandbox(session, group, { image: given });
      expect((await sandbox.read(session, made.id, made.state))?.inputs.image).toBe(given);
    },
  );

  it("changes labels in place and keeps the provider's own", async () => {
    const session = provider.session();
    const made = await provider.sandbox(session, group, { labels: { a: "1" } });
    const news = inputsOf(sandbox, session, { group: group.id, image: "python", labels: { b: "2" } });
    const updated = await sandbox.update(session, made.id, made.state, news);
    expect(updated).toMatchObject({ labels: { b: "2" }, state: "Running" });
    expect((await liveOf(made)).labels).toMatchObject({ b: "2", "pulumi-key": keyOf("sandbox") });
    expect((await liveOf(made)).labels).not.toHaveProperty("a");
  });

  it.each([
    ["image", { image: "ubuntu" }],
    ["memory", { memory: "1Gi" }],
    ["env", { env: { A: "2" } }],
    ["cmd", { cmd: ["true"] }],
  ])("is replaced when its %s changes", async (input, change) => {
    const session = provider.session();
    const olds = { group: group.id, image: "python", env: { A: "1" } };
    const news = inputsOf(sandbox, session, { ...olds, ...change });
    expect(sandbox.diff(session, "id", inputsOf(sandbox, session, olds), news).replaces).toEqual([input]);
  });

  it("gives its environment to what runs in it, and to nobody who reads it", async () => {
    const made = await provider.sandbox(provider.session(), group, { env: { TOKEN: "t0p" } });
    expect(JSON.stringify(await liveOf(made))).not.toContain("t0p");
    const body = { command: "echo $TOKEN" };
    expect((await provider.host.call("POST", `${made.id}/executeShellCommand`, body)).body.stdout).toBe("t0p\n");
  });

  it("leaves alone what was taken out of the state while a later one of the same key took its place", async () => {
    const retained = await provider.sandbox(provider.session(), group, {});
    const current = await provider.sandbox(provider.session(), group, { memory: "1Gi", __key: keyOf("other") });
    await provider.host.call("PATCH", current.id, { labels: { "pulumi-key": keyOf("sandbox") } });
    const session = provider.session();
    sandbox.diff(session, current.id, current.state, current.state);
    const replacement = await provider.sandbox(session, group, {});
    expect([retained.id, current.id]).not.toContain(replacement.id);
    expect(await liveOf(retained)).toMatchObject({ state: "Running" });
  });

  it("is taken over after a lost answer, with the labels wanted now", async () => {
    const lost = await provider.sandbox(provider.session(), group, { labels: { a: "1" } });
    const session = provider.session();
    const found = await provider.sandbox(session, group, { labels: { a: "2" } });
    expect(found.id).toBe(lost.id);
    expect((await liveOf(found)).labels).toMatchObject({ a: "2", "pulumi-key": keyOf("sandbox") });
    expect((await sandbox.read(session, found.id, found.state))?.state).toEqual(found.state);
  });

  it("is made anew instead where the unfinished one may have another environment, whose secrets leave no trace", async () => {
    const lost = await provider.sandbox(provider.session(), group, { env: { TOKEN: "one" } });
    expect((await liveOf(lost)).labels).toEqual({ "pulumi-key": keyOf("sandbox") });
    const found = await provider.sandbox(provider.session(), group, { env: { TOKEN: "two" } });
    expect(found.id).not.toBe(lost.id);
    expect(await provider.counts()).toMatchObject({ sandboxes: 1 });
  });

  it("never takes what the state knows for unfinished", async () => {
    const session = provider.session();
    const first = await provider.sandbox(session, group);
    const fresh = provider.session();
    await sandbox.read(fresh, first.id, first.state);
    const second = await provider.sandbox(fresh, group);
    expect(second.id).not.toBe(first.id);
    expect(await provider.counts()).toMatchObject({ sandboxes: 2 });
  });

  it("does not take another resource's object", async () => {
    await provider.sandbox(provider.session(), group);
    await provider.sandbox(provider.session(), group, { __key: keyOf("another") });
    expect(await provider.counts()).toMatchObject({ sandboxes: 2 });
  });

  it("leaves nothing when it cannot be started", async () => {
    provider.host.machines.beforeClone = async () => {
      throw new Error("no machine today");
    };
    await expect(provider.sandbox(provider.session(), group)).rejects.toMatchObject({ name: "SandboxesError" });
    expect(await provider.counts()).toMatchObject({ sandboxes: 0 });
  });

  it("names an image that does not exist", async () => {
    const made = provider.sandbox(provider.session(), group, { image: "nothing" });
    await expect(made).rejects.toMatchObject({ code: "ImageNotFound" });
  });
});
