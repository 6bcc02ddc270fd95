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

  it("says that azure is not there yet", async () => {
    await project.write(`
const { SandboxGroup } = require("pulumi-sandboxes");
new SandboxGroup("lab", { target: "azure" });
`);
    const { exitCode, stdout } = await project.run("preview");
    expect(exitCode).not.toBe(0);
    expect(stdout).toContain("target azure: not available in this version yet");
  });
});
