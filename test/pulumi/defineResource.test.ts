import fc from "fast-check";
import { beforeEach, describe, expect, it } from "vitest";
import { SandboxesError } from "../../provider/client/errors";
import { unknownValue } from "../../provider/pulumi/unknowns";
import { offlineSession, thingOver } from "./thing";

const trouble: { read?: SandboxesError } = {};
const things = new Map();
const thing = thingOver(things, trouble);
const session = offlineSession();

beforeEach(() => {
  things.clear();
  trouble.read = undefined;
});

function check(news: Record<string, unknown>) {
  return thing.check(session, {}, news);
}

describe("check", () => {
  it("fills in defaults, normalises quantities and sorts keys", () => {
    const { inputs, failures } = check({ tags: { b: "2", a: "1" }, size: "2Gi" });
    expect(failures).toEqual([]);
    expect(JSON.stringify(inputs)).toBe('{"size":"2048Mi","tags":{"a":"1","b":"2"}}');
    expect(check({}).inputs).toEqual({ size: "512Mi" });
  });

  it("names the property, what is wrong and what mends it", () => {
    expect(check({ size: "much" }).failures).toEqual([
      { property: "size", reason: `"much" is no size; write "512Mi" or "2Gi" (a size such as "512Mi")` },
    ]);
    expect(check({ options: { mode: "slow" } }).failures[0]).toMatchObject({ property: "options.mode" });
    expect(check({ sise: "1Gi" }).failures[0]?.reason).toContain("known: name, size, tags, options, env");
  });

  it("never names a secret as the property, for the engine prints the value beside it, nor repeats it", () => {
    const [failure] = check({ env: { TOKEN: 4711 } }).failures;
    expect(failure?.property).toBe("");
    expect(failure?.reason).toMatch(/^env\.TOKEN: .*string.*\(environment variables\)$/);
    expect(failure?.reason).not.toContain("4711");
  });

  it("lets unknowns pass at any depth and still checks the known rest", () => {
    const unknown = unknownValue;
    for (const news of [
      { name: unknown, size: unknown, tags: unknown, options: unknown, env: unknown },
      { tags: { a: unknown }, options: { mode: unknown, level: unknown }, env: { A: unknown } },
    ]) {
      const { inputs, failures } = check(news);
      expect(failures).toEqual([]);
      expect(inputs).toMatchObject(news);
    }
    expect(check({ tags: { a: unknown, b: 7 } }).failures[0]).toMatchObject({ property: "tags.b" });
    expect(check({ options: { mode: unknown, level: "high" } }).failures[0]).toMatchObject({
      property: "options.level",
    });
    expect(check({ options: { mode: unknown, more: 1 } }).failures[0]?.reason).toContain("more");
  });

  it("never throws, whatever comes in", () => {
    const anything = fc.object({ values: [fc.constant(unknownValue), fc.string(), fc.integer(), fc.constant(null)] });
    fc.assert(fc.property(anything, (news) => void check(news as Record<string, unknown>)));
  });

  it("gives what it got when its own result comes in again", () => {
    const { inputs } = check({ size: "1Gi", tags: { z: "1", a: "" }, options: { mode: "fast" } });
    expect(check(inputs)).toEqual({ inputs, failures: [] });
  });
});

describe("diff", () => {
  function diff(olds: Record<string, unknown>, news: Record<string, unknown>) {
    return thing.diff(session, "id", olds, check(news).inputs);
  }

  it("sees no change in key order, spelling of quantities, defaults and hidden inputs", () => {
    const olds = { name: "auto-1", size: "2Gi", tags: { b: "2", a: "1" }, state: "Ready", __key: "k1", extra: 1 };
    expect(diff(olds, { size: "2048Mi", tags: { a: "1", b: "2" }, __key: "k2" }).changes).toEqual([]);
    expect(diff({ name: "auto-1" }, {}).changes).toEqual([]);
  });

  it("names each changed leaf and replaces only where the definition says so", () => {
    const olds = { name: "auto-1", size: "512Mi", tags: { a: "1", gone: "1" }, options: { mode: "fast", level: 1 } };
    const { changes, replaces } = diff(olds, { tags: { a: "2", "b.c": "3" }, options: { mode: "fast", level: 2 } });
    expect(changes).toEqual([
      { path: "options.level", kind: "update", replaces: false },
      { path: "tags.a", kind: "update", replaces: false },
      { path: 'tags["b.c"]', kind: "add", replaces: false },
      { path: "tags.gone", kind: "delete", replaces: false },
    ]);
    expect(replaces).toEqual([]);
    expect(diff(olds, { options: { mode: "safe" }, tags: olds.tags }).replaces).toEqual(["options"]);
  });

  it("takes what is not known yet for changed", () => {
    expect(diff({ name: "a", size: "512Mi" }, { size: unknownValue }).replaces).toEqual(["size"]);
    expect(diff({ name: "a", tags: { a: "1" } }, { tags: { a: unknownValue } }).changes).toEqual([
      { path: "tags.a", kind: "update", replaces: false },
    ]);
  });

  it("deletes first where old and new cannot exist at once", () => {
    expect(diff({ name: "a", size: "512Mi" }, { name: "a", size: "1Gi" }).deleteBeforeReplace).toBe(true);
    expect(diff({ name: "a", size: "512Mi" }, { name: "b", size: "1Gi" }).deleteBeforeReplace).toBe(false);
  });

  it("replaces an object that can only be made anew", () => {
    expect(diff({ name: "a", state: "Failed" }, {}).replaces).toEqual(["state"]);
  });
});

describe("state over its life", () => {
  async function created(news: Record<string, unknown>) {
    return thing.create(session, check(news).inputs);
  }

  it("keeps inputs and outputs, and is unchanged after a refresh", async () => {
    const { id, state } = await created({ tags: { a: "1" } });
    expect(state).toMatchObject({ name: "auto-1", size: "512Mi", tags: { a: "1" }, state: "Ready" });
    const found = await thing.read(session, id, state);
    expect(found?.state).toEqual(state);
    expect(found?.inputs).toEqual({ size: "512Mi", tags: { a: "1" } });
    expect(thing.diff(session, id, found?.state ?? {}, check({ tags: { a: "1" } }).inputs).changes).toEqual([]);
  });

  it("shows the drift of what the user had set, and only of that", async () => {
    const { id, state } = await created({ tags: { a: "1" } });
    things.get(id).tags = { a: "2", b: "3" };
    things.get(id).options = { mode: "safe", level: 3 };
    const found = await thing.read(session, id, state);
    expect(found?.inputs).toEqual({ size: "512Mi", tags: { a: "2", b: "3" } });
    expect(thing.diff(session, id, found?.state ?? {}, check({ tags: { a: "1" } }).inputs).changes).toEqual([
      { path: "tags.a", kind: "update", replaces: false },
      { path: "tags.b", kind: "delete", replaces: false },
    ]);
  });

  it("keeps what cannot be read back", async () => {
    const { id, state } = await created({ env: { TOKEN: "t" } });
    expect((await thing.read(session, id, state))?.inputs.env).toEqual({ TOKEN: "t" });
  });

  it("reads all that is there when only the id is known", async () => {
    const { id } = await created({ name: "by-hand", tags: { a: "1" } });
    const found = await thing.read(session, id, {});
    expect(found?.inputs).toEqual({ name: "by-hand", size: "512Mi", tags: { a: "1" } });
    expect(check(found?.inputs ?? {}).failures).toEqual([]);
    expect(thing.diff(session, id, found?.state ?? {}, check(found?.inputs ?? {}).inputs).changes).toEqual([]);
  });

  it("is gone after a true 404 and an error after anything else", async () => {
    const { id, state } = await created({});
    trouble.read = new SandboxesError("HostUnavailable", "down");
    await expect(thing.read(session, id, state)).rejects.toThrow("down");
    trouble.read = undefined;
    things.clear();
    expect(await thing.read(session, id, state)).toBeUndefined();
  });

  it("returns the whole state from an update and forgets what was taken away", async () => {
    const { id, state } = await created({ tags: { a: "1" } });
    const updated = await thing.update(session, id, state, check({}).inputs);
    expect(updated).toEqual({ name: "auto-1", size: "512Mi", state: "Ready", __filledIn: ["name"] });
  });

  it("deletes what is gone already", async () => {
    const { id, state } = await created({});
    await thing.delete(session, id, state);
    await thing.delete(session, id, state);
  });

  it("remembers every id that the engine names or that it made", async () => {
    const fresh = offlineSession();
    const { id } = await thing.create(fresh, check({}).inputs);
    thing.diff(fresh, "one", {}, {});
    await thing.read(fresh, "two", {});
    await thing.delete(fresh, "three", {});
    expect([...fresh.knownIds]).toEqual([id, "one", "two", "three"]);
  });
});
