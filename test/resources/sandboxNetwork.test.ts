import { afterEach, beforeEach, describe, expect, it } from "vitest";
import type { PropertyBag } from "../../provider/pulumi/propertyBag";
import { egressPolicy } from "../../provider/resources/egressPolicy";
import { sandbox } from "../../provider/resources/sandbox";
import { type Existing, inputsOf, keyOf, make, ResourceHost } from "./resourceHost";

let provider: ResourceHost;
let group: Existing;

beforeEach(async () => {
  provider = await new ResourceHost().start();
  group = await provider.group(provider.session());
});
afterEach(() => provider.close());

const liveOf = async ({ id }: Existing) => (await provider.host.call("GET", id)).body;
const web = { port: 8080, auth: { anonymous: true } };
const egress = { hostRules: [{ pattern: "*.pypi.org" }] };

async function update(made: Existing, news: PropertyBag, session = provider.session()): Promise<Existing> {
  const inputs = inputsOf(sandbox, session, { group: group.id, image: "python", ...news });
  return { id: made.id, state: await sandbox.update(session, made.id, made.state, inputs) };
}

async function changesOf(made: Existing, news: PropertyBag): Promise<string[]> {
  const session = provider.session();
  const found = await sandbox.read(session, made.id, made.state);
  const inputs = inputsOf(sandbox, session, { group: group.id, image: "python", ...news });
  return sandbox.diff(session, made.id, found?.state ?? {}, inputs).changes.map(({ path }) => path);
}

describe("a sandbox's network", () => {
  it("is as declared from the beginning, and unchanged after a refresh", async () => {
    const news = {
      ports: [
        { ...web, name: "web" },
        { port: 81, auth: { anonymous: true } },
      ],
      egress,
    };
    const made = await provider.sandbox(provider.session(), group, news);
    expect(made.state.urls).toEqual({ "81": expect.stringMatching(/^http:/), "8080": expect.stringMatching(/^http:/) });
    expect((await liveOf(made)).egressPolicy).toMatchObject({
      defaultAction: "Deny",
      hostRules: [{ action: "Allow" }],
    });
    expect((await sandbox.read(provider.session(), made.id, made.state))?.state).toEqual(made.state);
    expect(await changesOf(made, news)).toEqual([]);
  });

  it("changes ports in place, and leaves alone the address of one that stays", async () => {
    const stays = { port: 81, auth: { anonymous: true } };
    const made = await provider.sandbox(provider.session(), group, { ports: [web, stays] });
    const onDemand = { ...web, activationMode: "OnDemand" };
    const changed = await update(made, { ports: [onDemand, { ...web, port: 82 }, stays] });
    expect((changed.state.urls as PropertyBag)["81"]).toBe((made.state.urls as PropertyBag)["81"]);
    const { ports } = await liveOf(made);
    expect(ports.map(({ port }: { port: number }) => port).sort()).toEqual([8080, 81, 82]);
    expect(await changesOf(changed, { ports: [onDemand, { ...web, port: 82 }, stays] })).toEqual([]);
    const none = await update(changed, {});
    expect((await liveOf(made)).ports).toEqual([]);
    expect(none.state.urls).toBeUndefined();
  });

  it("changes the way out in place, and shuts it when nothing is said of it any more", async () => {
    const made = await provider.sandbox(provider.session(), group, { egress });
    const open = await update(made, { egress: { defaultAction: "Allow" } });
    expect((await liveOf(made)).egressPolicy).toEqual({ defaultAction: "Allow" });
    await update(open, {});
    expect((await liveOf(made)).egressPolicy).toEqual({ defaultAction: "Deny" });
  });

  it("tells by property what somebody else changed, and puts it back", async () => {
    const news = { ports: [web], egress };
    const made = await provider.sandbox(provider.session(), group, news);
    await provider.host.call("POST", `${made.id}/ports/add`, { port: 9, auth: { anonymous: true } });
    await provider.host.call("POST", `${made.id}/egresspolicy`, { defaultAction: "Allow" });
    expect(await changesOf(made, news)).toEqual(["egress.defaultAction", "egress.hostRules", "ports"]);
    expect(await changesOf(await update(made, news), news)).toEqual([]);
    expect((await liveOf(made)).ports).toHaveLength(1);
  });

  it("looks into https where a rule asks for a path", async () => {
    const rules = [{ match: { host: "a.test", path: "/x" }, action: { type: "Deny" } }];
    const made = await provider.sandbox(provider.session(), group, { egress: { rules } });
    expect((await liveOf(made)).egressPolicy).toMatchObject({ rules });
    expect(await changesOf(made, { egress: { rules } })).toEqual([]);
  });

  it("follows a policy of the group, and is replaced when it is to follow another", async () => {
    const session = provider.session();
    const declared = { __key: keyOf("policy"), __logicalName: "open", group: group.id, defaultAction: "Allow" };
    const policy = await make(egressPolicy, session, declared);
    const made = await provider.sandbox(session, group, { egressPolicy: policy.id });
    expect(await liveOf(made)).toMatchObject({
      ...{ egressPolicyId: policy.state.name, egressPolicy: { defaultAction: "Allow" } },
    });
    expect(await changesOf(made, { egressPolicy: policy.id })).toEqual([]);
    const other = inputsOf(sandbox, session, { group: group.id, image: "python", egressPolicy: "other" });
    expect(sandbox.diff(session, made.id, made.state, other).replaces).toEqual(["egressPolicy"]);
    await provider.host.call("POST", `${made.id}/egresspolicy`, { defaultAction: "Allow" });
    expect(await changesOf(made, { egressPolicy: policy.id })).toEqual(["egressPolicy"]);
  });

  it("is brought to what is wanted now when it is taken over after a lost answer", async () => {
    const lost = await provider.sandbox(provider.session(), group, { ports: [web] });
    const found = await provider.sandbox(provider.session(), group, { ports: [{ ...web, port: 82 }], egress });
    expect(found.id).toBe(lost.id);
    expect(Object.keys(found.state.urls as object)).toEqual(["82"]);
    expect(await changesOf(found, { ports: [{ ...web, port: 82 }], egress })).toEqual([]);
  });

  it.each([
    ["ports", { ports: [{ port: 80, auth: { entraId: { enabled: true } } }] }, "entraId"],
    ["ports", { ports: [web, web] }, "twice"],
    ["egressPolicy", { egress, egressPolicy: "open" }, "one of"],
    [
      "egress.rules[0].action.type",
      { egress: { rules: [{ match: { host: "a" }, action: { type: "Drop" } }] } },
      "Allow",
    ],
  ])("is refused where %s cannot be had: %o", (property, news, reason) => {
    const inputs = { group: group.id, image: "python", ...news };
    expect(sandbox.check(provider.session(), {}, inputs).failures).toMatchObject([
      { property, reason: expect.stringContaining(reason) },
    ]);
  });
});
