import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { sandboxGroup } from "../../provider/resources/sandboxGroup";
import { armPath } from "../host/fakes/runningHost";
import { inputsOf, keyOf, ResourceHost } from "./resourceHost";

let provider: ResourceHost;

beforeEach(async () => {
  provider = await new ResourceHost().start();
});
afterEach(() => provider.close());

describe("a sandbox group", () => {
  it("gets a name of its own, the configured place, and an ARM id", async () => {
    const session = provider.session({ "sandboxes:location": "north" });
    const { id, state } = await provider.group(session, { tags: { team: "red" } });
    expect(state.name).toMatch(/^lab-[0-9a-f]{7}$/);
    expect(id).toBe(`${armPath}/${state.name}`);
    expect(state).toMatchObject({ location: "north", isolation: "none", provisioningState: "Succeeded" });
    const found = await sandboxGroup.read(session, id, state);
    expect(found?.state).toEqual(state);
    expect(found?.inputs).not.toHaveProperty("name");
  });

  it.each(["", "ünîcode name!", "-", "x".repeat(80)])("makes a name from any logical name: %j", async (logical) => {
    const { state } = await provider.group(provider.session(), { __logicalName: logical });
    expect(state.name).toMatch(/^[A-Za-z0-9][A-Za-z0-9-]*-[0-9a-f]{7}$/);
  });

  it("replaces its tags in place, keeps the provider's, and hides them", async () => {
    const session = provider.session();
    const { id, state } = await provider.group(session, { tags: { team: "red", old: "1" } });
    const news = inputsOf(sandboxGroup, session, { tags: { team: "blue" } });
    const updated = await sandboxGroup.update(session, id, state, news);
    expect(updated.tags).toEqual({ team: "blue" });
    const live = (await provider.host.call("GET", id)).body;
    expect(live.tags).toEqual({ team: "blue", "pulumi-key": keyOf("group"), "pulumi-inputs": expect.any(String) });
    expect((await sandboxGroup.read(session, id, updated))?.inputs.tags).toEqual({ team: "blue" });
  });

  it("is found by its id alone, with inputs that declare just what is there", async () => {
    const { id } = await provider.group(provider.session(), { name: "by-hand", tags: { a: "1" } });
    const session = provider.session();
    const found = await sandboxGroup.read(session, id, {});
    expect(found?.inputs).toMatchObject({ name: "by-hand", location: "local", tags: { a: "1" } });
    const inputs = inputsOf(sandboxGroup, session, found?.inputs ?? {});
    expect(sandboxGroup.diff(session, id, found?.state ?? {}, inputs).changes).toEqual([]);
  });

  it("refuses a name that somebody else has, and leaves theirs alone", async () => {
    await provider.host.call("PUT", `${armPath}/taken`, { location: "local", tags: { whose: "theirs" } });
    await expect(provider.group(provider.session(), { name: "taken" })).rejects.toMatchObject({ code: "Conflict" });
    expect((await provider.host.call("GET", `${armPath}/taken`)).body.tags).toEqual({ whose: "theirs" });
  });

  it("replaces when its place changes, and deletes first where the name stays", async () => {
    const session = provider.session();
    const { id, state } = await provider.group(session, { name: "lab", location: "north" });
    const news = inputsOf(sandboxGroup, session, { name: "lab", location: "south" });
    expect(sandboxGroup.diff(session, id, state, news)).toMatchObject({
      replaces: ["location"],
      deleteBeforeReplace: true,
    });
  });

  it("refuses hardware isolation where there is none, and makes nothing", async () => {
    const group = provider.group(provider.session(), { requireHardwareIsolation: true });
    await expect(group).rejects.toMatchObject({ code: "IsolationUnavailable" });
    expect(await provider.counts()).toMatchObject({ groups: 0 });
  });

  it("takes over the one that an earlier process made without knowing", async () => {
    const lost = await provider.group(provider.session(), { tags: { a: "1" } });
    const session = provider.session();
    const found = await provider.group(session, { tags: { a: "2" } });
    expect(found.id).toBe(lost.id);
    expect(found.state.tags).toEqual({ a: "2" });
    expect(await provider.counts()).toMatchObject({ groups: 1 });
  });

  it("removes an unfinished one of other inputs, but never one that holds something", async () => {
    await provider.group(provider.session(), { location: "north" });
    const full = await provider.group(provider.session(), { location: "south" });
    expect(await provider.counts()).toMatchObject({ groups: 1 });
    await provider.image(provider.session(), full);
    await provider.group(provider.session(), { location: "east" });
    expect(await provider.counts()).toMatchObject({ groups: 2, diskImages: 1 });
  });

  it("is gone after a delete, and a second delete succeeds", async () => {
    const session = provider.session();
    const { id, state } = await provider.group(session);
    await sandboxGroup.delete(session, id, state);
    await sandboxGroup.delete(session, id, state);
    expect(await sandboxGroup.read(session, id, state)).toBeUndefined();
  });
});
