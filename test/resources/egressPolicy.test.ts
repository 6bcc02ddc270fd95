import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { Session } from "../../provider/pulumi/session";
import { egressPolicy } from "../../provider/resources/egressPolicy";
import { secret } from "../../provider/resources/secret";
import { type Existing, inputsOf, keyOf, make, ResourceHost } from "./resourceHost";

let provider: ResourceHost;
let group: Existing;
let session: Session;

beforeEach(async () => {
  provider = await new ResourceHost().start();
  session = provider.session();
  group = await provider.group(session);
});
afterEach(() => provider.close());

const hostRules = [{ pattern: "*.pypi.org", action: "Allow" }];
const declared = (news: object = {}) => ({
  ...{ __key: keyOf("policy"), __logicalName: "packages", group: group.id, hostRules, description: "for pip" },
  ...news,
});
const create = (news: object = {}, by = session) => make(egressPolicy, by, declared(news));
const path = (name: string) =>
  `/subscriptions/s1/resourceGroups/local/sandboxGroups/${group.state.name}/egressPolicies/${name}`;
const live = async ({ id }: Existing) => (await provider.host.call("GET", id)).body;
const read = async ({ id, state }: Existing) => egressPolicy.read(provider.session(), id, state);

describe("an egress policy", () => {
  it("is written, denies what it does not allow, and is unchanged after a refresh", async () => {
    const made = await create();
    expect(made.state).toMatchObject({ name: expect.stringMatching(/^packages-[0-9a-f]{10}$/), defaultAction: "Deny" });
    expect(await live(made)).toMatchObject({ id: made.state.name, defaultAction: "Deny", hostRules });
    const found = await read(made);
    expect(found?.state).toEqual(made.state);
    const news = inputsOf(egressPolicy, session, declared());
    expect(egressPolicy.diff(session, made.id, found?.state ?? {}, news).changes).toEqual([]);
  });

  it("changes in place, also by what is left out", async () => {
    const made = await create();
    const rules = [{ match: { host: "a.test", scheme: "http", methods: ["GET"] }, action: { type: "Allow" } }];
    const news = inputsOf(egressPolicy, session, {
      ...declared({ rules, description: undefined, hostRules: undefined, enforcementMode: "Audit" }),
    });
    const { changes, replaces } = egressPolicy.diff(session, made.id, made.state, news);
    expect(changes.map(({ path }) => path)).toEqual(["description", "enforcementMode", "hostRules", "rules"]);
    expect(replaces).toEqual([]);
    const state = await egressPolicy.update(session, made.id, made.state, news);
    expect(await live(made)).not.toHaveProperty("hostRules");
    expect((await read({ id: made.id, state }))?.state).toEqual(state);
  });

  it("tells by property what somebody else changed", async () => {
    const made = await create();
    const theirs = { defaultAction: "Allow", description: "theirs", hostRules: [] };
    await provider.host.call("PUT", made.id, theirs);
    const found = await read(made);
    const { changes } = egressPolicy.diff(
      session,
      made.id,
      found?.state ?? {},
      inputsOf(egressPolicy, session, declared()),
    );
    expect(changes.map(({ path }) => path)).toEqual(["defaultAction", "description", "hostRules"]);
    await provider.host.call("DELETE", made.id);
    expect(await read(made)).toBeUndefined();
    await egressPolicy.delete(session, made.id, made.state);
  });

  it.each([{}, { name: "mine" }])("is taken over after a lost answer, as it is wanted now: %o", async (given) => {
    const lost = await create(given);
    const found = await create({ ...given, defaultAction: "Allow" }, provider.session());
    expect(found.id).toBe(lost.id);
    expect(await live(found)).toMatchObject({ defaultAction: "Allow" });
  });

  it("never overwrites one of the same name that is not its own", async () => {
    await provider.host.call("PUT", path("theirs"), { defaultAction: "Allow" });
    await expect(create({ name: "theirs" })).rejects.toThrow(/exists and is not of this stack/);
    await expect(create({ name: "theirs", __key: undefined })).rejects.toThrow(/exists and is not of this stack/);
    expect((await provider.host.call("GET", path("theirs"))).body).toMatchObject({ defaultAction: "Allow" });
  });

  it("puts a secret into requests by its name", async () => {
    const login = await make(secret, session, {
      ...{ __key: keyOf("secret"), __logicalName: "login", group: group.id, values: { TOKEN: "correct-horse" } },
    });
    const valueRef = { secretRef: { secretId: login.state.name, format: "Bearer {value}" } };
    const headers = [{ operation: "Set", name: "Authorization", valueRef }];
    const rules = [{ match: { host: "a.test", scheme: "http" }, action: { type: "Transform", headers } }];
    const made = await create({ rules });
    expect((await read(made))?.state).toEqual(made.state);
    expect(JSON.stringify(await live(made))).not.toContain("correct-horse");
  });

  it("is refused where it says what no target could enforce", () => {
    const check = (news: object) => egressPolicy.check(session, {}, declared(news)).failures;
    const match = { host: "a.test", path: "/x" };
    expect(check({ rules: [{ match, action: { type: "Allow" } }] })).toEqual([]);
    const hookRef = { endpoint: "https://hook.test" };
    for (const rule of [{ match }, { match, action: { type: "Allow" }, hookRef }]) {
      expect(check({ rules: [rule] })).toContainEqual({
        property: "rules[0]",
        reason: expect.stringContaining("give one of action and hookRef"),
      });
    }
    expect(check({ defaultForward: { url: "http://me:password@proxy.test" } })).toContainEqual({
      property: "defaultForward.url",
      reason: expect.stringContaining("no user and password here"),
    });
    expect(check({ rule: [] })).toMatchObject([{ reason: expect.stringContaining("known: group, name") }]);
  });
});
