import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { isMissing } from "../../../provider/client/failures";
import type { HttpOptions } from "../../../provider/client/http";
import type { GroupApi, SandboxApi } from "../../../provider/client/sandboxApi";
import { AzureDouble } from "../../azure/double/azureDouble";
import { throttled } from "../../azure/double/faults";
import { doubleApi } from "../../azure/doubleApi";

let double: AzureDouble;
const apis: SandboxApi[] = [];

function open(options: HttpOptions = {}): SandboxApi {
  const api = doubleApi(double, options);
  apis.push(api);
  return api;
}

beforeAll(async () => {
  double = await AzureDouble.start();
});
afterEach(async () => {
  expect(double.violations).toEqual([]);
  await Promise.all(apis.splice(0).map((api) => api.close()));
  double.reset();
});
afterAll(() => double[Symbol.asyncDispose]());

const place = { location: "eastus2", tags: { team: "red" } };
const rejection = (promise: Promise<unknown>) =>
  promise.then(
    () => Promise.reject(new Error("it succeeded")),
    (error) => error,
  );

describe("groups on Azure", () => {
  it.each([
    ["by the operation's address", {}],
    ["at the pace that the service asks for", { operationRetryAfter: 0, operationPolls: 3 }],
    ["by the group's own state where no operation is named", { operationHeader: false }],
  ])("are waited for %s", async (_name, pace) => {
    Object.assign(double.pace, pace);
    const group = await open().groups.put("lab", place);
    expect(group.properties.provisioningState).toBe("Succeeded");
    expect(group.tags).toEqual({ team: "red" });
  });

  it("always carry properties, without which Azure refuses them, and none that it does not know", async () => {
    await open().groups.put("lab", { ...place, properties: { requireHardwareIsolation: true } });
    const [put] = double.sent("PUT", /sandboxGroups/);
    expect(JSON.parse(String(put?.body))).toEqual({ ...place, properties: {} });
  });

  it("keep their identity when they get an environment, which is in another version", async () => {
    const environmentId = "/subscriptions/s/resourceGroups/r/providers/Microsoft.App/managedEnvironments/e";
    const { groups } = open();
    const group = await groups.put("lab", {
      ...place,
      identity: { type: "SystemAssigned" },
      properties: { environmentId },
    });
    expect(group.identity).toMatchObject({ type: "SystemAssigned", principalId: expect.any(String) });
    expect([...double.control.groups.values()][0]).toMatchObject({
      environmentId,
      identity: { type: "SystemAssigned" },
    });
  });

  it("tell why they failed, in the service's words", async () => {
    double.pace.operationErrors.push({ code: "SubnetIsFull", message: "no address left" });
    const error = await rejection(open().groups.put("lab", place));
    expect(error).toMatchObject({ code: "ServiceFailed", serviceCode: "SubnetIsFull" });
    expect(error.message).toBe('Cannot create sandbox group "lab": no address left');
  });

  it("are gone when a delete resolves, and deleting what is gone succeeds", async () => {
    const { groups } = open();
    await groups.put("lab", place);
    double.pace.operationPolls = 3;
    await groups.delete("lab");
    expect(double.counts().groups).toBe(0);
    await groups.delete("lab");
    expect(isMissing(await rejection(groups.get("lab")))).toBe(true);
  });

  it("that could not be deleted say so", async () => {
    const { groups } = open();
    await groups.put("lab", place);
    double.pace.operationErrors.push({ code: "StillInUse", message: "something holds it" });
    expect(await rejection(groups.delete("lab"))).toMatchObject({
      message: expect.stringContaining("something holds it"),
    });
  });

  it("are listed to the last page", async () => {
    const { groups } = open();
    await Promise.all(Array.from({ length: 45 }, (_value, index) => groups.put(`lab-${index}`, place)));
    expect(await groups.list()).toHaveLength(45);
  });

  it("survive a throttled operation", async () => {
    double.faults.add({ path: /operationStatuses/, times: 3, kind: throttled(0) });
    await open().groups.put("lab", place);
    expect(double.faults.hits).toBeGreaterThanOrEqual(3);
  });

  it("are not taken for gone because the subscription is not seen", async () => {
    const other = doubleApi(double);
    apis.push(other);
    other.connection.subscriptionId = "44444444-4444-4444-4444-444444444444";
    const error = await rejection(other.groups.get("lab"));
    expect(isMissing(error)).toBe(false);
    expect(error).toMatchObject({ serviceCode: "SubscriptionNotFound", hint: expect.stringContaining("tenant") });
  });

  it("name the resource group that is missing", async () => {
    const other = doubleApi(double);
    apis.push(other);
    other.connection.resourceGroupName = "nowhere";
    expect(await rejection(other.groups.put("lab", place))).toMatchObject({
      hint: expect.stringContaining("az group create --name nowhere"),
    });
  });
});

describe.each(["2026-02-01-preview", "2026-09-01-preview"])("the data plane of %s", (apiVersion) => {
  async function group(options: HttpOptions = {}): Promise<GroupApi> {
    const api = open({ apiVersion, ...options });
    await api.groups.put("lab", place);
    return api.group("lab");
  }
  const python = { sourcesRef: { diskImage: { name: "python", isPublic: true } } };
  const collection = /\/sandboxes$/;

  it("is found at the address that the group tells, and asked in its version", async () => {
    const { sandboxes } = await group();
    const made = await sandboxes.create(python);
    expect(made).toMatchObject({ state: "Running", resources: { cpu: "1000m", memory: "2048Mi", disk: "10240Mi" } });
    const [request] = double.sent(apiVersion === "2026-02-01-preview" ? "PUT" : "POST", collection);
    expect(request).toMatchObject({ plane: "data", apiVersion });
    await sandboxes.delete(made.id);
    await sandboxes.delete(made.id);
    expect(isMissing(await rejection(sandboxes.get(made.id)))).toBe(true);
  });

  it("gives all pages of a list, each item once", async () => {
    const { sandboxes, diskImages } = await group();
    const create = { ...python, labels: { kind: "many" } };
    for (let count = 0; count < 130; count++) await sandboxes.create(create);
    await sandboxes.create(python);
    expect(new Set((await sandboxes.list()).map(({ id }) => id)).size).toBe(131);
    expect(await sandboxes.list({ labels: { kind: "many" } })).toHaveLength(130);
    expect((await diskImages.listPublic()).map(({ name }) => name)).toContain("ubuntu");
  });

  it("imports images and tells why one could not be", async () => {
    const { diskImages } = await group();
    const image = await diskImages.create({ image: { base: "docker.io/library/python:3.12" }, labels: { a: "1" } });
    expect(image.status.state).toBe("Building");
    const ready = await diskImages.waitUntilReady(image.id);
    expect(ready).toMatchObject({ labels: { a: "1" }, image: { base: "docker.io/library/python:3.12" } });
    const secret = { username: "me", token: "registry-password" };
    const failed = await diskImages.create({ image: { base: "private:1" }, registryCredentials: secret });
    expect(await rejection(diskImages.waitUntilReady(failed.id))).toMatchObject({
      message: expect.stringContaining("RegistryAuthFailed"),
    });
    await diskImages.delete(image.id);
    await diskImages.delete(image.id);
  });

  it("stops slowly, and says what a stopped sandbox cannot do", async () => {
    const { sandboxes } = await group();
    double.pace.stopPolls = 4;
    const { id } = await sandboxes.create(python);
    expect((await sandboxes.stop(id)).state).toBe("Stopped");
    expect(await rejection(sandboxes.stop(id))).toMatchObject({ code: "NotRunning", status: 409 });
    expect(await rejection(sandboxes.exec(id, { command: "true" }))).toMatchObject({ code: "NotRunning" });
    expect((await sandboxes.resume(id)).state).toBe("Running");
    expect(await rejection(sandboxes.resume(id))).toMatchObject({ code: "InvalidState" });
  });

  it("may not show for a while what it has made", async () => {
    Object.assign(double.pace, { createPolls: 3, hiddenGets: 2 });
    const { sandboxes } = await group();
    expect((await sandboxes.create(python)).state).toBe("Running");
  });

  it("waits for a role that has not taken effect, also to create", async () => {
    double.pace.roleDelayMs = 300;
    const { sandboxes } = await group();
    expect((await sandboxes.create(python)).state).toBe("Running");
    expect(double.counts().sandboxes).toBe(1);
  });

  it("says which role is missing, once all have waited for it together", async () => {
    double.pace.roleDelayMs = 60_000;
    const { sandboxes } = await group({ roleRetry: { attempts: 100, budgetMs: 150, baseMs: 5, maxMs: 20 } });
    const error = await rejection(sandboxes.list());
    expect(error).toMatchObject({ code: "Forbidden", status: 403 });
    expect(error.hint).toContain("c24cf47c-5077-412d-a19c-45202126392c");
    expect(error.hint).toContain("az role assignment create");
    expect(error.hint).toContain(`/resourceGroups/${double.resourceGroup}/providers/Microsoft.App/sandboxGroups/lab`);
    await new Promise((done) => setTimeout(done, 150));
    const before = double.requests.length;
    await rejection(sandboxes.list());
    expect(double.requests.length).toBe(before + 1);
  });

  it.each([
    ["throttled", throttled(0)],
    ["answered 503", { answer: { status: 503 } }],
    ["cut off before an answer", "reset" as const],
  ])("repeats a read that is %s", async (_name, kind) => {
    const { sandboxes } = await group();
    await sandboxes.list();
    double.faults.add({ plane: "data", method: "GET", times: 2, kind });
    expect(await sandboxes.list()).toEqual([]);
  });

  it("repeats a create that was throttled, and no other", async () => {
    const { sandboxes } = await group();
    double.faults.add({ path: collection, times: 2, kind: throttled(0) });
    await sandboxes.create(python);
    expect(double.counts().sandboxes).toBe(1);
    for (const kind of ["reset", { cutAt: 10 }, { answer: { status: 500 } }, { answer: { status: 503 } }] as const) {
      const before = double.requests.length;
      double.faults.add({ path: collection, times: 9, kind });
      expect(await rejection(sandboxes.create(python))).toMatchObject({ name: "SandboxesError" });
      expect(double.requests.length).toBe(before + 1);
      double.faults.clear();
    }
  });

  it("creates many sandboxes a few at a time, so that none is throttled", async () => {
    const { sandboxes } = await group({ creations: 8 });
    Object.assign(double.pace, { workMs: 5, mostAtOnce: 8 });
    await Promise.all(Array.from({ length: 50 }, () => sandboxes.create(python)));
    expect(double.counts().sandboxes).toBe(50);
    expect(double.mostWorking).toBeLessThanOrEqual(8);
    expect(double.throttled).toBe(0);
  });

  it("keeps the service's code and words, and says what helps", async () => {
    const { sandboxes } = await group();
    const large = { ...python, resources: { cpu: "250m", memory: "512Mi", disk: "20Gi" } };
    const error = await rejection(sandboxes.create(large));
    expect(error).toMatchObject({ code: "Invalid", status: 400, serviceCode: "InvalidResourceTier" });
    expect(error.message).toContain("exceeds tier maximum");
    expect(error.hint).toContain("20 GiB");
    double.faults.add({ path: /executeCommand/, kind: { answer: { status: 504 } } });
    const { id } = await sandboxes.create(python);
    expect(await rejection(sandboxes.exec(id, { command: "true" }))).toMatchObject({
      code: "Timeout",
      hint: expect.stringContaining("600 s"),
    });
  });

  it("tells a wrong audience from a missing role", async () => {
    const { sandboxes } = await group();
    double.tokens.issued.clear();
    const error = await rejection(sandboxes.list());
    expect(error).toMatchObject({ code: "Unauthorized", status: 401 });
  });
});
