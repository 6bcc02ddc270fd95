import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { InitFailed } from "../../provider/pulumi/initFailed";
import type { PropertyBag } from "../../provider/pulumi/propertyBag";
import type { Session } from "../../provider/pulumi/session";
import { sandboxGroup } from "../../provider/resources/sandboxGroup";
import { ResourceAzure } from "./resourceAzure";
import { type Existing, inputsOf, keyOf } from "./resourceHost";

let provider: ResourceAzure;
let session: Session;

beforeEach(async () => {
  provider = await ResourceAzure.start("2026-02-01-preview");
  session = provider.session();
});
afterEach(() => provider.close());

const stored = () => [...provider.double.control.groups.values()][0]!;
const roles = () => [...provider.double.control.roles.all.values()];
const inputs = (news: PropertyBag, by = session) =>
  inputsOf(sandboxGroup, by, { __key: keyOf("group"), __logicalName: "lab", ...news });
const changesOf = async ({ id, state }: Existing, news: PropertyBag) => {
  const found = await sandboxGroup.read(provider.session(), id, state);
  return sandboxGroup.diff(session, id, found?.state ?? {}, inputs(news));
};
const updated = async ({ id, state }: Existing, news: PropertyBag) => ({
  id,
  state: await sandboxGroup.update(session, id, state, inputs(news)),
});

async function expectSettled(made: Existing, news: PropertyBag): Promise<void> {
  expect((await sandboxGroup.read(provider.session(), made.id, made.state))?.state).toEqual(made.state);
  expect((await changesOf(made, news)).changes).toEqual([]);
}

const [one, two] = ["one", "two"].map(
  (name) => `/subscriptions/s1/resourceGroups/rg/providers/Microsoft.ManagedIdentity/userAssignedIdentities/${name}`,
) as [string, string];
const environmentId = "/subscriptions/s1/resourceGroups/rg/providers/Microsoft.App/managedEnvironments/office";

describe("the identity of a group on Azure", () => {
  it("is there from the beginning, and unchanged after a refresh in whatever case ARM answers", async () => {
    const news = { identity: { type: "SystemAssigned, UserAssigned", userAssignedIdentities: [two, one] } };
    const made = await provider.group(session, news);
    expect(made.state).toMatchObject({ principalId: expect.any(String), tenantId: expect.any(String) });
    await expectSettled(made, news);
    const { identity } = stored();
    const all = Object.entries(identity?.userAssignedIdentities ?? {}).map(([id, value]) => [id.toUpperCase(), value]);
    stored().identity = { ...identity!, userAssignedIdentities: Object.fromEntries(all.reverse()) };
    await expectSettled(made, news);
  });

  it("changes in place, also to none, and keeps its object id", async () => {
    const first = await provider.group(session, { identity: { type: "SystemAssigned" } });
    const news = { identity: { type: "SystemAssigned, UserAssigned", userAssignedIdentities: [one] } };
    expect((await changesOf(first, news)).replaces).toEqual([]);
    const second = await updated(first, news);
    expect(second.state.principalId).toBe(first.state.principalId);
    const third = await updated(second, { identity: { type: "UserAssigned", userAssignedIdentities: [two] } });
    expect(Object.keys(stored().identity?.userAssignedIdentities ?? {})).toEqual([two]);
    const last = await updated(third, {});
    expect(stored().identity).toBeUndefined();
    await expectSettled(last, {});
  });

  it("tells what somebody else changed", async () => {
    const news = { identity: { type: "SystemAssigned" } };
    const made = await provider.group(session, news);
    stored().identity = undefined;
    expect((await changesOf(made, news)).changes).toMatchObject([{ path: "identity" }]);
    await expectSettled(await updated(made, news), news);
  });

  it.each([
    [{ type: "UserAssigned" }, "give userAssignedIdentities"],
    [{ type: "SystemAssigned", userAssignedIdentities: [one] }, "give userAssignedIdentities"],
  ])("is refused where type and ids contradict each other: %o", (identity, reason) => {
    const { failures } = sandboxGroup.check(session, {}, { identity });
    expect(failures).toMatchObject([{ property: "identity", reason: expect.stringContaining(reason) }]);
  });
});

describe("the environment of a group on Azure", () => {
  it("may be given at the beginning, beside an identity", async () => {
    const news = { environmentId, identity: { type: "SystemAssigned" } };
    const made = await provider.group(session, news);
    expect(stored()).toMatchObject({ environmentId, identity: { type: "SystemAssigned" } });
    await expectSettled(made, news);
  });

  it("may be given later in place; after that a change or its removal replaces the group", async () => {
    const made = await provider.group(session);
    const news = { environmentId, tags: { a: "1" } };
    expect((await changesOf(made, news)).replaces).toEqual([]);
    const linked = await updated(made, news);
    expect(stored()).toMatchObject({ environmentId, tags: { a: "1" } });
    await expectSettled(linked, news);
    await expectSettled(await updated(linked, { ...news, tags: {} }), { ...news, tags: {} });
    expect((await changesOf(linked, { environmentId: `${environmentId}2` })).replaces).toEqual(["environmentId"]);
    expect((await changesOf(linked, {})).replaces).toEqual(["environmentId"]);
  });
});

describe("the role of whoever deploys", () => {
  it("is given with the group, so that the same run can use it, and ends with it", async () => {
    provider.double.pace.needsRole = true;
    const news = { assignDataOwner: true };
    const made = await provider.group(session, news);
    expect(roles()).toEqual([
      {
        scope: expect.stringMatching(/sandboxGroups\/lab-/),
        roleDefinitionId: expect.stringMatching(/roleDefinitions\/c24cf47c-5077-412d-a19c-45202126392c$/),
        principalId: provider.double.tokens.principalId,
        principalType: "ServicePrincipal",
      },
    ]);
    await provider.sandbox(session, made);
    await expectSettled(made, news);
    await sandboxGroup.delete(session, made.id, made.state);
    expect(roles()).toEqual([]);
  });

  it("is given and taken in place, and given again when somebody took it", async () => {
    const made = await provider.group(session);
    const given = await updated(made, { assignDataOwner: true });
    expect(roles()).toHaveLength(1);
    provider.double.control.roles.all.clear();
    expect((await changesOf(given, { assignDataOwner: true })).changes).toMatchObject([{ path: "assignDataOwner" }]);
    const found = await sandboxGroup.read(session, given.id, given.state);
    const again = await updated({ id: given.id, state: found!.state }, { assignDataOwner: true });
    expect(roles()).toHaveLength(1);
    await expectSettled(await updated(again, {}), {});
    expect(roles()).toEqual([]);
  });

  it("is left alone where somebody else had given it", async () => {
    const made = await provider.group(session);
    await updated(made, { assignDataOwner: true });
    const [ours] = [...provider.double.control.roles.all];
    provider.double.control.roles.all.clear();
    const theirs = ours![0].replace(/[^/]+$/, "00000000-0000-4000-8000-000000000000");
    provider.double.control.roles.all.set(theirs, ours![1]);
    const given = await updated(made, { assignDataOwner: true });
    expect(given.state).not.toHaveProperty("roleAssignmentId");
    await expectSettled(given, { assignDataOwner: true });
    await sandboxGroup.delete(session, given.id, given.state);
    expect(roles()).toHaveLength(1);
  });

  it("that may not be given leaves the group in the state, and says who may", async () => {
    provider.double.control.roles.refuses = true;
    const failed = await provider.group(session, { assignDataOwner: true }).catch((error) => error);
    expect(failed).toBeInstanceOf(InitFailed);
    expect(failed.message).toContain("Microsoft.Authorization/roleAssignments/write");
    expect(failed.message).toContain("az role assignment create");
    provider.double.control.roles.refuses = false;
    const mended = await updated({ id: failed.id, state: failed.properties }, { assignDataOwner: true });
    expect(mended.state.roleAssignmentId).toMatch(/roleAssignments/);
    expect(provider.double.counts()).toMatchObject({ groups: 1 });
  });

  it("is given once, also when the answer is lost or nobody waited for it", async () => {
    provider.double.faults.add({ method: "PUT", path: /roleAssignments/, kind: { cutAt: 0 } });
    const lost = await provider.group(session, { assignDataOwner: true });
    const found = await provider.group(provider.session(), { assignDataOwner: true });
    expect(found.state.roleAssignmentId).toBe(lost.state.roleAssignmentId);
    expect(roles()).toHaveLength(1);
  });
});

it("a host refuses what only Azure has, by name", () => {
  const local = provider.session({ "sandboxes:target": "microvm" });
  const news = { identity: { type: "SystemAssigned" }, environmentId, assignDataOwner: true };
  const { failures } = sandboxGroup.check(local, {}, news);
  expect(failures.map(({ property }) => property).sort()).toEqual(["assignDataOwner", "environmentId", "identity"]);
  expect(sandboxGroup.check(local, {}, { assignDataOwner: false }).failures).toEqual([]);
});
