import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { armPath, RunningHost } from "../host/fakes/runningHost";
import { PulumiProject } from "./pulumiProject";

describe("ways to name a resource", () => {
  const host = new RunningHost();
  let project: PulumiProject;

  beforeAll(async () => {
    await host.start();
    await host.call("PUT", `${armPath}/shared`, { location: "local", tags: { whose: "theirs" } });
    project = await PulumiProject.create("", {
      "sandboxes:endpoint": `unix:${host.socket}`,
      "sandboxes:subscriptionId": "s1",
    });
  });

  afterAll(async () => {
    await project?.[Symbol.asyncDispose]();
    await host.close();
  });

  it("a group that another stack made is read by its id, used, and left alone", async () => {
    await project.write(`
const { Sandbox, SandboxGroup } = require("pulumi-sandboxes");
const shared = SandboxGroup.get("shared", "${armPath}/shared");
new Sandbox("box", { group: shared, image: "python" });
module.exports = { tags: shared.tags, location: shared.location };
`);
    await project.up();
    expect(await project.outputs()).toEqual({ tags: { whose: "theirs" }, location: "local" });
    expect(await project.plan("--refresh")).toMatchObject({ same: 2 });
    await project.destroy();
    expect((await host.call("GET", `${armPath}/shared`)).body.tags).toEqual({ whose: "theirs" });
    expect(host.machines.vms.size).toBe(0);
  });

  it("groups and images may be given by id, by an output, or as resources of a parent", async () => {
    await project.write(`
const pulumi = require("@pulumi/pulumi");
const { DiskImage, Sandbox, SandboxGroup } = require("pulumi-sandboxes");
const parent = new pulumi.ComponentResource("test:index:Parent", "parent");
const group = new SandboxGroup("lab", {}, { parent });
const image = new DiskImage("image", { group: group.id, image: "python" }, { parent });
new Sandbox("byOutput", { group: pulumi.output(group), image: pulumi.output(image) }, { parent });
new Sandbox("byId", { group: group.id, image: image.diskImageId });
new Sandbox("byName", { group: "${armPath}/shared", image: "python" });
`);
    await project.up();
    expect(host.machines.vms.size).toBe(3);
    expect(await project.plan("--refresh")).toEqual({ same: 7 });
  });

  it("a renamed resource with an alias stays what it is", async () => {
    const before = await project.ours();
    const text = `
const pulumi = require("@pulumi/pulumi");
const { DiskImage, Sandbox, SandboxGroup } = require("pulumi-sandboxes");
const parent = new pulumi.ComponentResource("test:index:Parent", "parent");
const group = new SandboxGroup("laboratory", {}, { parent, aliases: [{ name: "lab" }] });
const image = new DiskImage("image", { group: group.id, image: "python" }, { parent });
new Sandbox("byOutput", { group: pulumi.output(group), image: pulumi.output(image) }, { parent });
new Sandbox("byId", { group: group.id, image: image.diskImageId });
new Sandbox("byName", { group: "${armPath}/shared", image: "python" });
`;
    await project.write(text);
    expect(await project.plan()).toEqual({ same: 7 });
    await project.up();
    expect((await project.ours()).laboratory?.id).toBe(before.lab?.id);
    await project.destroy();
    expect(host.machines.vms.size).toBe(0);
  });
});
