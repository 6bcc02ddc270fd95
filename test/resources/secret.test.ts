import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Session } from "../../provider/pulumi/session";
import { changedElsewhere, secret } from "../../provider/resources/secret";
import { type Existing, inputsOf, keyOf, make, ResourceHost } from "./resourceHost";

const value = "correct-horse-battery";

let provider: ResourceHost;
let group: Existing;
let session: Session;

beforeEach(async () => {
  provider = await new ResourceHost().start();
  session = provider.session();
  group = await provider.group(session);
});
afterEach(() => provider.close());

const declared = (news: object = {}) => ({
  ...{ __key: keyOf("secret"), __logicalName: "db login", group: group.id, values: { TOKEN: value } },
  ...news,
});
const create = (news: object = {}, by = session) => make(secret, by, declared(news));
const path = (name = "") => `/subscriptions/s1/resourceGroups/local/sandboxGroups/${group.state.name}/secrets/${name}`;
const peek = async ({ state }: Existing) =>
  (await provider.host.call("POST", `${path(String(state.name))}/peek`)).body.values;
const names = async () =>
  (await provider.host.call("GET", path().slice(0, -1))).body.secrets.map(({ id }: { id: string }) => id);
const read = async ({ id, state }: Existing) => secret.read(provider.session(), id, state);

describe("a secret", () => {
  it("is written under a name made for it, and is unchanged after a refresh", async () => {
    const made = await create();
    expect(made.state).toMatchObject({ name: expect.stringMatching(/^db-login-[0-9a-f]{10}$/), keys: ["TOKEN"] });
    expect(made.id).toBe(path(String(made.state.name)));
    expect(await peek(made)).toEqual({ TOKEN: value });
    const found = await read(made);
    expect(found?.state).toEqual(made.state);
    expect(secret.diff(session, made.id, found?.state ?? {}, inputsOf(secret, session, declared())).changes).toEqual(
      [],
    );
    expect(await names()).toEqual([made.state.name]);
  });

  it("changes values in place, all of them together", async () => {
    const made = await create({ values: { TOKEN: value, OLD: "" } });
    const news = inputsOf(secret, session, declared({ values: { TOKEN: "other-value", NEW: "n" } }));
    const { changes, replaces } = secret.diff(session, made.id, made.state, news);
    expect(changes.map(({ path }) => path)).toEqual(["values.NEW", "values.OLD", "values.TOKEN"]);
    expect(replaces).toEqual([]);
    const state = await secret.update(session, made.id, made.state, news);
    expect(state).toMatchObject({ keys: ["NEW", "TOKEN"], name: made.state.name });
    expect(await peek(made)).toEqual({ TOKEN: "other-value", NEW: "n" });
    expect((await read({ id: made.id, state }))?.state).toEqual(state);
  });

  it("tells keys and values that somebody else wrote, without reading what they are", async () => {
    const made = await create({ values: { TOKEN: value, EMPTY: "" } });
    const written = { TOKEN: "somebody-elses", MORE: "m" };
    // The host's clock tells writings apart by the millisecond.
    await new Promise((done) => setTimeout(done, 5));
    await provider.host.call("PUT", path(String(made.state.name)), { values: written });
    const found = await read(made);
    expect(found?.inputs.values).toEqual({ TOKEN: changedElsewhere, MORE: changedElsewhere });
    const news = inputsOf(secret, session, declared({ values: { TOKEN: value, EMPTY: "" } }));
    const { changes } = secret.diff(session, made.id, found?.state ?? {}, news);
    expect(changes.map(({ path, kind }) => `${kind} ${path}`)).toEqual([
      "add values.EMPTY",
      "delete values.MORE",
      "update values.TOKEN",
    ]);
    // A second refresh does not make it look as if nothing had been.
    const again = await read({ id: made.id, state: found?.state ?? {} });
    expect(again?.state).toEqual(found?.state);
    await secret.update(session, made.id, found?.state ?? {}, news);
    expect(await peek(made)).toEqual({ TOKEN: value, EMPTY: "" });
  });

  it("is gone when somebody else deleted it, and deleting it again is no failure", async () => {
    const made = await create();
    await provider.host.call("DELETE", made.id);
    expect(await read(made)).toBeUndefined();
    await secret.delete(session, made.id, made.state);
    await provider.host.call("DELETE", group.id);
    await secret.delete(session, made.id, made.state);
  });

  it.each([{}, { name: "mine" }])(
    "is taken over after a lost answer, with the values wanted now: %o",
    async (given) => {
      const lost = await create(given);
      const found = await create({ ...given, values: { TOKEN: "wanted-now" } }, provider.session());
      expect(found.id).toBe(lost.id);
      expect(await peek(found)).toEqual({ TOKEN: "wanted-now" });
      await secret.delete(session, found.id, found.state);
      expect(await names()).toEqual([]);
    },
  );

  it("never overwrites one of the same name that is not its own", async () => {
    await provider.host.call("PUT", path("theirs"), { values: { A: "1" } });
    await create({ name: "mine" });
    await expect(create({ name: "theirs" })).rejects.toThrow(/exists and is not of this stack/);
    await expect(create({ name: "THEIRS", __key: undefined })).rejects.toThrow(/exists and is not of this stack/);
    expect((await provider.host.call("POST", `${path("theirs")}/peek`)).body.values).toEqual({ A: "1" });
  });

  it("is made after all when an earlier attempt ended before it was written", async () => {
    await provider.host.call("PUT", path(`pulumi-${keyOf("secret")}`), { values: { mine: "made by Pulumi" } });
    const made = await create({ name: "mine" });
    await secret.delete(session, made.id, made.state);
    expect(await names()).toEqual([]);
  });

  it("is replaced under another name, while both exist", async () => {
    const first = await create();
    session.knownIds.add(first.id);
    const second = await create();
    expect(second.id).not.toBe(first.id);
    const [one, two] = [await create({ name: "one" }), await create({ name: "two" })];
    await secret.delete(session, one.id, one.state);
    expect((await create({ name: "two" }, provider.session())).id).toBe(two.id);
    for (const each of [first, second, two]) await secret.delete(session, each.id, each.state);
    expect(await names()).toEqual([]);
  });

  it("is refused with a name or values that no service takes, and shows no value", () => {
    const check = (news: object) => secret.check(session, {}, declared(news)).failures;
    expect(check({ name: "a b" })).toMatchObject([{ property: "name", reason: expect.stringContaining("3 to 64") }]);
    expect(check({ values: {} })).toMatchObject([{ property: "", reason: expect.stringContaining("at least one") }]);
    expect(JSON.stringify(check({ values: { TOKEN: 4711471147 } }))).not.toContain("4711471147");
  });
});
