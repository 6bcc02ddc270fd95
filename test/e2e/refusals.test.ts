import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { PulumiProject } from "./pulumiProject";

describe("what is refused before anything is made", () => {
  let project: PulumiProject;

  beforeAll(async () => {
    project = await PulumiProject.create("", { "sandboxes:endpoint": "unix:/nowhere/host.sock" });
  });

  afterAll(async () => {
    await project?.[Symbol.asyncDispose]();
  });

  it("names property, reason and mend, and shows no secret", async () => {
    await project.write(`
const { Sandbox } = require("pulumi-sandboxes");
new Sandbox("box", { group: "lab", image: "python", memory: "lots", env: { TOKEN: 4711471147 } });
`);
    const { exitCode, stdout, stderr } = await project.run("preview");
    expect(exitCode).not.toBe(0);
    expect(stdout).toContain('memory value {lots} has a problem: "lots" is no size; write "512Mi" or "2Gi"');
    expect(stdout).toContain("not the id of a sandbox group (a SandboxGroup, or its id:");
    expect(stdout).toContain("env.TOKEN: ");
    expect(stdout + stderr).not.toContain("4711471147");
  });

  it("says what Azure needs, and what it cannot do", async () => {
    await project.write(`
const { DiskImage, SandboxGroup } = require("pulumi-sandboxes");
const group = new SandboxGroup("lab", { target: "azure", tags: { "a/b": "c" } });
new DiskImage("image", { group, image: "rootfs:/tmp/x.tar", warmUp: ["true"] });
`);
    const { exitCode, stdout } = await project.run("preview");
    expect(exitCode).not.toBe(0);
    expect(stdout).toContain("target azure needs sandboxes:subscriptionId");
    expect(stdout).toContain("target azure needs a resource group");
    expect(stdout).toContain("target azure needs a region");
    expect(stdout).toContain('"a/b" is no tag name for Azure');
    await project.write(`
const { DiskImage } = require("pulumi-sandboxes");
const group = "/subscriptions/s/resourceGroups/rg/providers/Microsoft.App/sandboxGroups/lab";
new DiskImage("image", { group, image: "rootfs:/tmp/x.tar", warmUp: ["true"] });
`);
    const image = await project.run("preview", "--config", "sandboxes:target=azure");
    expect(image.stdout).toContain("not on target azure: Azure pulls from registries only");
    expect(image.stdout).toContain("not on target azure: Azure starts sandboxes from the image alone");
  });
});
