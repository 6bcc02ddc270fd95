import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { GroupService } from "../../../provider/host/services/groups";
import type { GroupRecord, GroupStore } from "../../../provider/host/store/groupStore";
import { armPath, groupPath, older, RunningHost } from "../fakes/runningHost";

describe("sandbox groups", () => {
  let host: RunningHost;
  beforeEach(async () => {
    host = await new RunningHost().start();
  });
  afterEach(() => host.close());

  test("a group is created, updated, read, listed and deleted", async () => {
    const created = await host.call("PUT", `${armPath}/g1`, { location: "local", tags: { a: "1" } });
    expect(created.status).toBe(201);
    expect(created.body).toMatchObject({
      id: "/subscriptions/s1/resourceGroups/local/providers/Microsoft.App/sandboxGroups/g1",
      name: "g1",
      type: "Microsoft.App/sandboxGroups",
      location: "local",
      tags: { a: "1" },
      properties: { provisioningState: "Succeeded", isolation: "none", managementEndpoint: `unix:${host.socket}` },
    });
    expect((await host.call("PUT", `${armPath}/g1`, { location: "Local" })).status).toBe(200);
    expect((await host.call("GET", `${armPath}/g1`)).body.tags).toEqual({});
    const patched = await host.call("PATCH", `${armPath}/g1`, { tags: { b: "2" } });
    expect(patched.body).toMatchObject({ tags: { b: "2" }, location: "local" });
    const bySubscription = "/subscriptions/s1/providers/Microsoft.App/sandboxGroups";
    expect((await host.call("GET", bySubscription)).body.value).toHaveLength(1);
    expect((await host.call("GET", armPath.replace("local", "other"))).body).toEqual({ value: [] });
    expect((await host.call("DELETE", `${armPath}/g1`)).status).toBe(202);
    expect((await host.call("DELETE", `${armPath}/g1`)).status).toBe(204);
    expect((await host.call("GET", `${armPath}/g1`)).status).toBe(404);
  });

  test("names compare without regard to case and keep their spelling", async () => {
    await host.call("PUT", `${armPath}/MyGroup`, { location: "local" });
    const read = await host.call("GET", `${armPath}/mygroup`.replace("resourceGroups/local", "resourcegroups/LOCAL"));
    expect(read.body.name).toBe("MyGroup");
    expect((await host.call("GET", groupPath.replace("g1", "MYGROUP/sandboxes"))).status).toBe(200);
  });

  test("a group stays where it is", async () => {
    await host.call("PUT", `${armPath}/g1`, { location: "local" });
    const moved = await host.call("PUT", `${armPath}/g1`, { location: "elsewhere" });
    expect(moved.status).toBe(409);
    expect(moved.body.error.code).toBe("InvalidResourceLocation");
  });

  test("hardware isolation is refused where there is none, on create and on change", async () => {
    const properties = { requireHardwareIsolation: true };
    const refused = await host.call("PUT", `${armPath}/g1`, { location: "local", properties });
    expect(refused.status).toBe(422);
    expect(refused.body.error.code).toBe("IsolationUnavailable");
    await host.call("PUT", `${armPath}/g1`, { location: "local" });
    expect((await host.call("PATCH", `${armPath}/g1`, { properties })).status).toBe(422);
    expect((await host.call("GET", `${armPath}/g1`)).body.properties.requireHardwareIsolation).toBeUndefined();
  });

  test("deleting a group deletes what is in it", async () => {
    await host.withGroup();
    await host.sandbox();
    await host.call("PUT", `${groupPath}/diskimages`, { image: { base: "alpine" } });
    expect((await host.call("DELETE", `${armPath}/g1`)).status).toBe(202);
    expect(host.machines.vms.size).toBe(0);
    await host.withGroup();
    expect((await host.call("GET", `${groupPath}/sandboxes`)).body).toEqual([]);
    expect((await host.call("GET", `${groupPath}/diskimages`)).body).toEqual([]);
  });

  test("a deletion is an operation whose state can be read", async () => {
    await host.withGroup();
    const { status, headers } = await host.call("DELETE", `${armPath}/g1`);
    expect([status, headers["retry-after"]]).toEqual([202, "1"]);
    const [state, result] = ["azure-asyncoperation", "location"].map((name) => new URL(headers[name] as string));
    expect([state!.origin, state!.searchParams.get("api-version")]).toEqual(["http://localhost", older]);
    const told = await host.call("GET", state!.pathname);
    expect([told.status, told.body.status]).toEqual([200, "Succeeded"]);
    expect((await host.call("GET", result!.pathname)).status).toBe(204);
    expect((await host.call("GET", `${state!.pathname}x`.replace("/s1/", "/s2/"))).status).toBe(404);
  });

  test("a deletion that takes long is answered before its end, and one that fails says why", async () => {
    const { promise, reject } = Promise.withResolvers<void>();
    const store = { get: () => record, delete: () => undefined } as unknown as GroupStore;
    const record = { key: "s1/local/g1" } as GroupRecord;
    const groups = new GroupService({ store, driver: host.machines.driver(), empty: () => promise });
    const scope = { subscriptionId: "s1", resourceGroup: "local", group: "g1" };
    expect(await groups.delete(scope, 10)).toBe(record);
    expect(groups.deletion(record.key)).toEqual({ status: "InProgress" });
    const reason = new Error("it does not end");
    reject(reason);
    await new Promise((resolve) => setImmediate(resolve));
    expect(groups.deletion(record.key)).toEqual({ status: "Failed", error: reason });
  });

  test("errors have ARM's envelope, and the api-version is needed", async () => {
    const missing = await host.call("GET", `${armPath}/none`);
    expect(missing.body).toEqual({ error: { code: "ResourceNotFound", message: expect.stringContaining("none") } });
    expect((await host.call("GET", `${armPath}/none`, undefined, { version: "" })).status).toBe(400);
    expect((await host.call("GET", `${armPath}/none`, undefined, { version: "2026-07-01" })).status).toBe(404);
    const bad = await host.call("PUT", `${armPath}/-bad-`, { location: "local" });
    expect(bad.status).toBe(400);
    expect(bad.body.error.target).toBe("group");
  });
});
