import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { armPath, RunningHost } from "../fakes/runningHost";

const dataOwner = "c24cf47c-5077-412d-a19c-45202126392c";
const version = "2022-04-01";
const scope = "/subscriptions/s1/resourceGroups/local";
const name = "3e355780-b2d2-414e-865e-d6586e0ddd06";
const twin = "4e355780-b2d2-414e-865e-d6586e0ddd06";

describe("roles", () => {
  const host = new RunningHost();
  beforeAll(async () => {
    await host.start();
    await host.withGroup();
  });
  afterAll(() => host.close());

  const call = (method: string, path: string, properties?: object) =>
    host.call(method, path, properties && { properties }, { version });
  const assignment = (at: string, id = name) => `${at}/providers/Microsoft.Authorization/roleAssignments/${id}`;

  test("the one for sandboxes is found by its name", async () => {
    const definitions = `${scope}/providers/Microsoft.Authorization/roleDefinitions`;
    const filter = encodeURIComponent("roleName eq 'Container Apps SandboxGroup Data Owner'");
    const { value } = (await call("GET", `${definitions}?$filter=${filter}`)).body;
    expect(value.map((each: { name: string }) => each.name)).toEqual([dataOwner]);
    expect((await call("GET", `${definitions}/${dataOwner}`)).body).toEqual(value[0]);
    expect((await call("GET", `${definitions}?$filter=roleName%20eq%20'Owner'`)).body).toEqual({ value: [] });
  });

  test("is given, found and taken away, once for each principal", async () => {
    const given = {
      roleDefinitionId: `/subscriptions/s1/providers/Microsoft.Authorization/roleDefinitions/${dataOwner}`,
      ...{ principalId: "p1", principalType: "User" },
    };
    const made = await call("PUT", assignment(scope), given);
    expect([made.status, made.body.id, made.body.properties]).toEqual([201, assignment(scope), { ...given, scope }]);
    expect((await call("PUT", assignment(scope), given)).status).toBe(200);
    const again = await call("PUT", assignment(scope, twin), given);
    expect([again.status, again.body.error.code]).toEqual([409, "RoleAssignmentExists"]);
    expect((await call("GET", assignment(scope.toUpperCase()))).body).toEqual(made.body);
    const list = `${scope}/providers/Microsoft.Authorization/roleAssignments`;
    expect((await call("GET", `${list}?$filter=principalId eq 'p1'`.replaceAll(" ", "%20"))).body.value).toHaveLength(
      1,
    );
    expect((await call("DELETE", assignment(scope))).status).toBe(200);
    expect((await call("DELETE", assignment(scope))).status).toBe(204);
    expect((await call("GET", assignment(scope))).body.error.code).toBe("RoleAssignmentNotFound");
    const owner = { ...given, roleDefinitionId: given.roleDefinitionId.replace(dataOwner, twin) };
    expect((await call("PUT", assignment(scope), owner)).status).toBe(501);
  });

  test("of a group go with it", async () => {
    const group = `${armPath}/doomed`;
    await host.call("PUT", group, { location: "local" });
    const given = { roleDefinitionId: `/x/${dataOwner}`, principalId: "p1" };
    expect((await call("PUT", assignment(group), given)).status).toBe(201);
    await host.call("DELETE", group);
    expect((await call("GET", assignment(group))).status).toBe(404);
  });
});
