import { afterAll, afterEach, beforeAll, beforeEach, describe, expect, it } from "vitest";
import { expectShape, recorded } from "../fixtures/recordedReply";
import { AzureDouble, nothing } from "./double/azureDouble";
import { RawCaller } from "./double/caller";
import { newer, older } from "./double/wire";

let double: AzureDouble;
beforeAll(async () => {
  double = await AzureDouble.start();
});
afterAll(() => double[Symbol.asyncDispose]());
afterEach(() => double.reset());

const python = { sourcesRef: { diskImage: { name: "python", isPublic: true } } };
const subnet = "/subscriptions/s/resourceGroups/r/providers/Microsoft.Network/virtualNetworks/v/subnets/default";

describe.each([older, newer])("Azure's double, %s", (apiVersion) => {
  let caller: RawCaller;
  const isOlder = apiVersion === older;
  const create = isOlder ? "PUT" : "POST";
  const data = (method: string, path: string, json?: unknown) => caller.call("data", method, `lab/${path}`, json);
  const control = (method: string, path: string, json?: unknown) => caller.call("control", method, path, json);
  const sandbox = async (more: object = {}) => {
    const { status, body } = await data(create, "sandboxes", { ...python, ...more });
    expect([status, body]).toEqual([isOlder ? 200 : 201, expect.objectContaining({ state: "Running" })]);
    return body;
  };
  const refusalOf = async (answer: Promise<{ status: number; body: { title?: string; error?: { code: string } } }>) => {
    const { status, body } = await answer;
    return [status, body.error?.code ?? body.title];
  };

  beforeEach(async () => {
    caller = new RawCaller(double, apiVersion);
    await control("PUT", "lab", { location: "eastus2", properties: {} });
  });
  afterEach(() => caller.close());

  it("answers as Azure was recorded to", async () => {
    const image = isOlder
      ? { image: { base: "registry.k8s.io/pause:3.10" } }
      : { source: { kind: "registry", imageUrl: "registry.k8s.io/pause:3.10" } };
    const made = await data(create, "diskimages", { ...image, name: "probe-pause", labels: { probe: "aisloth" } });
    expectShape(made.body, recorded("diskimage-create.201"));
    const resources = { cpu: "250m", memory: "512Mi" };
    await expect.poll(async () => (await data("GET", `diskimages/${made.body.id}`)).body.status.state).toBe("Ready");
    const sourcesRef = { diskImage: { id: made.body.id, isPublic: false } };
    const labels = { probe: "aisloth", key: "one" };
    const box = await sandbox({ sourcesRef, labels, entrypoint: ["/pause"], resources });
    expectShape(box, recorded("sandbox-create.201"));
    expect(box.resources).toEqual(recorded("sandbox-create.201").resources);
    const commit = await data("POST", `sandboxes/${box.id}/commit`, { labels: { probe: "aisloth", snapshot: "s1" } });
    expectShape(commit.body, recorded("sandbox-commit.200"));
    const stop = await data("POST", `sandboxes/${box.id}/stop`, {});
    expectShape(stop.body, recorded("sandbox-stop.200"));
    await data("GET", `sandboxes/${box.id}`);
    const stopped = await data("GET", `sandboxes/${box.id}`);
    expectShape(stopped.body, recorded("sandbox-stopped.get200"));
    expect(stopped.body).not.toHaveProperty("region");
    expect(stopped.body).not.toHaveProperty("entrypoint");
    const resumed = await data("POST", `sandboxes/${box.id}/resume`, {});
    expect(resumed.body).toMatchObject({ state: "Running", region: "eastus2", snapshotId: stop.body.id });
    expect(double.violations).toEqual([]);
  });

  it("refuses as Azure was recorded to", async () => {
    const missing = await data("GET", "sandboxes/3e355780-b2d2-414e-865e-d6586e0ddd06");
    const box = await sandbox();
    await data("POST", `sandboxes/${box.id}/stop`, {});
    const stopped = await data("POST", `sandboxes/${box.id}/stop`, {});
    if (isOlder) {
      expect(missing.body).toMatchObject({ title: "SandboxNotFound", status: 404, errorCode: 1 });
      expect(missing.headers["content-type"]).toMatch(/problem\+json/);
      return expect(stopped.body).toMatchObject({ title: "SandboxNotRunning", status: 409 });
    }
    expect(missing.body).toEqual(recorded("sandbox-not-found.404"));
    expectShape(stopped.body, recorded("sandbox-not-running.409"));
  });

  it("keeps snapshots beyond their sandbox, and makes sandboxes of them", async () => {
    const box = await sandbox({ environment: { A: "b" }, resources: { cpu: "500m", memory: "1024Mi" } });
    const write = isOlder ? "PUT" : "POST";
    await data(write, `sandboxes/${box.id}/files?path=/tmp/kept`, "kept");
    const made = await data("POST", `sandboxes/${box.id}/snapshot`, { labels: { name: "one" } });
    expect(made).toMatchObject({ status: 200, body: { sandboxId: box.id, labels: { name: "one" } } });
    await data("DELETE", `sandboxes/${box.id}`);
    const copy = await sandbox({ sourcesRef: { snapshot: { id: made.body.id } }, labels: { copy: "1" } });
    expect(copy).toMatchObject({ labels: { copy: "1" }, resources: box.resources });
    expect((await data("GET", `sandboxes/${copy.id}/files/stat?path=/tmp/kept`)).body).toMatchObject({ size: 6 });
    const listed = (await data("GET", "snapshots?labels=name%3Done")).body;
    expect(isOlder ? listed : listed.value).toMatchObject([{ id: made.body.id }]);
    expect((await data("GET", "snapshots/count")).body).toBe(1);
    expect(double.counts()).toEqual({ ...nothing, groups: 1, sandboxes: 1, snapshots: 1 });
    expect((await data("DELETE", `snapshots/${made.body.id}`)).status).toBe(isOlder ? 202 : 204);
    expect((await data("GET", `snapshots/${made.body.id}`)).status).toBe(404);
    await data("POST", `sandboxes/${copy.id}/stop`, {});
    const refused = [409, "SandboxNotRunning"];
    expect(await refusalOf(data("POST", `sandboxes/${copy.id}/snapshot`, {}))).toEqual(refused);
    expect(double.violations).toEqual([]);
  });

  it("has volumes that sandboxes share, and disks that they do not", async () => {
    double.pace.volumePolls = 1;
    expect(await data("PUT", "volumes/disk", { type: "DataDisk", size: "1Gi" })).toMatchObject({ status: 201 });
    expect((await data("PUT", "volumes/blob", { type: "AzureBlob", labels: { a: "1" } })).body).toMatchObject({
      volumeName: "blob",
      provisioningState: "Provisioning",
    });
    for (const name of ["disk", "blob"]) {
      expect((await data("GET", `volumes/${name}`)).body.provisioningState).toBe("Succeeded");
    }
    const mounts = (...names: string[]) => ({
      volumes: names.map((volumeName) => ({ volumeName, mountpoint: `/mnt/${volumeName}` })),
    });
    const box = await sandbox(mounts("disk", "blob"));
    expect(box.volumes).toHaveLength(2);
    const other = await sandbox(mounts("blob"));
    expect(await refusalOf(data(create, "sandboxes", { ...python, ...mounts("disk") }))).toEqual([409, "VolumeInUse"]);
    await data(isOlder ? "PUT" : "POST", `sandboxes/${box.id}/files?path=/mnt/blob/shared`, 42);
    expect((await data("GET", `sandboxes/${other.id}/files?path=/mnt/blob/shared`)).body).toBe(42);
    expect((await data("GET", "volumes/disk")).body).toMatchObject({ isAttached: true, attachedSandboxId: box.id });
    expect(await refusalOf(data("DELETE", "volumes/blob"))).toEqual([409, "VolumeInUse"]);
    await Promise.all([data("DELETE", `sandboxes/${box.id}`), data("DELETE", `sandboxes/${other.id}`)]);
    const late = await sandbox();
    const mount = { volumeMount: mounts("disk").volumes[0] };
    expect((await data("POST", `sandboxes/${late.id}/volumes/add`, mount)).status).toBe(204);
    expect((await data("GET", "volumes/count")).body.counts).toContainEqual({ type: "AzureBlob", count: 1 });
    expect((await data("DELETE", "volumes/blob")).status).toBe(204);
    expect(double.counts()).toMatchObject({ volumes: 1 });
    expect(double.violations).toEqual([]);
  });

  it("changes lifecycles in halves, suspends idle sandboxes and wakes them on demand", async () => {
    const { id, lifecycle } = await sandbox();
    expect(lifecycle).toEqual({
      autoSuspendPolicy: { enabled: true, interval: 300, mode: "Memory" },
      autoDeletePolicy: { enabled: false },
    });
    const autoSuspendPolicy = { enabled: true, interval: 60, mode: "Disk" };
    expect((await data("POST", `sandboxes/${id}/lifecycle`, { autoSuspendPolicy })).body.lifecycle).toEqual({
      ...lifecycle,
      autoSuspendPolicy,
    });
    expect((await data("GET", `sandboxes/${id}/stats`)).body).toMatchObject({ memory: { totalBytes: 2 ** 31 } });
    double.suspendIdle(id);
    expect((await data("GET", `sandboxes/${id}`)).body.stateDetails).toMatchObject({ stoppedReason: "Idle" });
    expect((await data("GET", `sandboxes/${id}/stats`)).status).toBe(409);
    const run = { command: "echo awake" };
    expect((await data("POST", `sandboxes/${id}/executeShellCommand`, run)).status).toBe(409);
    const woken = await data("POST", `sandboxes/${id}/executeShellCommand`, { ...run, activationMode: "OnDemand" });
    expect(woken.body.stdout).toBe("awake\n");
  });

  it("does not wake what was disabled", async () => {
    const { id } = await sandbox();
    const post = (verb: string, body: object = {}) => data("POST", `sandboxes/${id}/${verb}`, body);
    expect((await post("disable")).body.stateDetails).toMatchObject({ stoppedReason: "Disabled" });
    await data("GET", `sandboxes/${id}`);
    await data("GET", `sandboxes/${id}`);
    expect(await refusalOf(post("resume"))).toEqual([409, "SandboxAdminDisabled"]);
    expect((await post("executeShellCommand", { command: "true", activationMode: "OnDemand" })).status).toBe(409);
    await post("enable");
    expect((await post("resume")).body.state).toBe("Running");
    expect(double.violations).toEqual([]);
  });

  it("connects groups to subnets, each once and for good", async () => {
    const made = await control("PUT", "lab/vnetConnections/main", { properties: { subnetId: subnet } });
    expect(made).toMatchObject({
      status: 201,
      body: { name: "main", properties: { provisioningState: "InProgress" } },
    });
    const operation = new URL(String(made.headers["azure-asyncoperation"])).pathname.split("/").at(-1)!;
    double.control.operations.get(operation)!.finish();
    expect((await control("GET", "lab/vnetConnections/main")).body.properties).toEqual({
      subnetId: subnet,
      provisioningState: "Succeeded",
    });
    const moved = { properties: { subnetId: `${subnet}2` } };
    expect((await control("PUT", "lab/vnetConnections/main", moved)).status).toBe(409);
    expect((await control("GET", "lab/vnetConnections")).body.value).toHaveLength(1);
    const name = isOlder ? "customerVnetConnectionName" : "vnetConnectionName";
    expect(await sandbox({ [name]: "main" })).toMatchObject({ [name]: "main" });
    double.pace.operationPolls = 0;
    expect((await control("DELETE", "lab/vnetConnections/main")).status).toBe(202);
    expect((await control("DELETE", "lab/vnetConnections/none")).status).toBe(204);
    expect(double.violations).toEqual([]);
  });

  it("notes what Azure would not understand, at any depth", async () => {
    await data(create, "sandboxes?color=red", {
      ...python,
      resources: { cpu: "1", memory: "2Gi", gpu: "1" },
      [isOlder ? "vnetConnectionName" : "vmmType"]: undefined,
      [isOlder ? "telemetry" : "skipEgressProxy"]: true,
      ports: [{ port: 80, auth: { anonymous: true, password: "x" } }],
    });
    const where = `${create} /subscriptions/${double.subscriptionId}/resourceGroups/${double.resourceGroup}/sandboxGroups/lab/sandboxes`;
    expect(double.violations).toEqual([
      `${where}: the query has color`,
      `${where}: ${apiVersion} does not know resources.gpu, ${isOlder ? "telemetry, ports[0].auth.password" : "ports[0].auth.password, skipEgressProxy"}`,
    ]);
  });
});
