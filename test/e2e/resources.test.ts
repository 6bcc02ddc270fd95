import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RunningHost } from "../host/fakes/runningHost";
import { PulumiProject } from "./pulumiProject";

interface Change {
  idleSeconds: number;
  size: string;
}

/** Every resource there is on a host of one's own, each of which another one uses. */
function program({ idleSeconds, size }: Change): string {
  return `
const { DiskImage, EgressPolicy, Sandbox, SandboxGroup, Secret, Snapshot, Volume } = require("pulumi-sandboxes");
const pulumi = require("@pulumi/pulumi");
const group = new SandboxGroup("lab");
const python = new DiskImage("python", { group, image: "python" });
const token = new Secret("token", { group, values: { TOKEN: "a-secret-token" } });
const valueRef = { secretRef: { secretId: token.name, secretKey: "TOKEN" } };
const headers = [{ operation: "Set", name: "x-token", valueRef }];
const rules = [{ match: { host: "api.test", scheme: "http" }, action: { type: "Transform", headers } }];
const api = new EgressPolicy("api", { group, rules });
const shared = new Volume("shared", { group, type: "AzureBlob" });
const data = new Volume("data", { group, type: "AzureBlob", size: ${JSON.stringify(size)} });
const box = new Sandbox("box", {
  group,
  image: python,
  env: { SETTING: "an-env-value" },
  egressPolicy: api,
  ports: [{ port: 8080, auth: { anonymous: true } }],
  volumes: [{ volume: shared.name, mountpoint: "/shared", readOnly: true }],
  lifecycle: { autoSuspendPolicy: { enabled: true, interval: ${idleSeconds} } },
});
// Of a sandbox with a DataDisk, which is for one, there is no snapshot.
const worker = new Sandbox("worker", { group, image: python, volumes: [{ volume: data, mountpoint: "/data" }] });
const prepared = new Snapshot("prepared", { group, sandbox: box, labels: { made: "by-test" } });
const copy = new Sandbox("copy", { group, snapshot: prepared, egress: { defaultAction: "Deny" } });
module.exports = { snapshotId: prepared.snapshotId, volume: data.name };
`;
}

const first = { idleSeconds: 600, size: "1Gi" };

// One stack, whose tests build on one another.
describe("a stack of all resources", () => {
  const host = new RunningHost();
  let project: PulumiProject;

  beforeAll(async () => {
    await host.start();
    project = await PulumiProject.create(program(first), { "sandboxes:endpoint": `unix:${host.socket}` });
  });

  afterAll(async () => {
    await project?.[Symbol.asyncDispose]();
    await host.close();
  });

  const ours = async (name: string) => (await project.ours())[name]!;
  const live = async (name: string) => (await host.call("GET", String((await ours(name)).id))).body;

  it("previews, is made, and is found unchanged with a refresh and without", async () => {
    expect(await project.plan()).toEqual({ create: 11 });
    await project.up();
    expect(await live("box")).toMatchObject({
      volumes: [{ mountpoint: "/shared", readOnly: true }],
      lifecycle: { autoSuspendPolicy: { enabled: true, interval: 600, mode: "Memory" } },
    });
    expect(await live("copy")).toMatchObject({
      sourcesRef: { snapshot: { id: (await project.outputs()).snapshotId } },
      egressPolicy: { defaultAction: "Deny" },
    });
    expect(await live("data")).toMatchObject({ size: "1024Mi", isAttached: true });
    expect(await project.plan("--refresh", "--expect-no-changes")).toEqual({ same: 11 });
    await project.up("--expect-no-changes");
    expect(await project.drift()).toMatchObject({ exitCode: 0 });
  });

  it("shows no secret in its state", async () => {
    const state = JSON.stringify(await project.state());
    for (const secret of ["a-secret-token", "an-env-value"]) expect(state).not.toContain(secret);
  });

  it.each(["prepared", "data"])("keeps of the provider of %s only the constant text", async (name) => {
    const text = String((await ours(name)).inputs?.__provider);
    const same = text.replaceAll(/pulumi-sandboxes\/dynamic\/\w+/g, "PACKAGE");
    await expect(same).toMatchFileSnapshot("testdata/trampoline.txt");
  });

  it("changes a lifecycle and a size in place", async () => {
    const before = (await ours("box")).id;
    await project.write(program({ idleSeconds: 900, size: "2Gi" }));
    expect(await project.plan()).toEqual({ update: 2, same: 9 });
    await project.up();
    expect((await ours("box")).id).toBe(before);
    expect(await live("box")).toMatchObject({ lifecycle: { autoSuspendPolicy: { interval: 900 } } });
    expect(await live("data")).toMatchObject({ size: "2048Mi" });
  });

  it("names what somebody else changed, and puts it back", async () => {
    await host.call("POST", `${(await ours("box")).id}/lifecycle`, { autoSuspendPolicy: { enabled: false } });
    const drift = await project.drift();
    expect(drift.exitCode).toBe(7);
    expect(drift.stdout).toMatch(/enabled *: true => false/);
    await project.up("--refresh");
    expect(await live("box")).toMatchObject({ lifecycle: { autoSuspendPolicy: { enabled: true, interval: 900 } } });
    expect(await project.drift()).toMatchObject({ exitCode: 0 });
  });

  it("makes a snapshot again that was deleted behind its back, and what was made from it", async () => {
    const before = await ours("prepared");
    await host.call("DELETE", String(before.id));
    expect((await project.drift()).exitCode).toBe(7);
    await project.up("--refresh");
    expect((await ours("prepared")).id).not.toBe(before.id);
    const { snapshotId } = await project.outputs();
    expect(await live("copy")).toMatchObject({ sourcesRef: { snapshot: { id: snapshotId } } });
    expect(await project.drift()).toMatchObject({ exitCode: 0 });
  });

  it("is gone after a destroy", async () => {
    const { id } = await ours("lab");
    await project.destroy();
    expect((await host.call("GET", String(id))).status).toBe(404);
    expect(host.machines.vms.size).toBe(0);
  });
});
