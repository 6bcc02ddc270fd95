import { cp, readFile, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RunningHost } from "../host/fakes/runningHost";
import { PulumiProject } from "./pulumiProject";

const example = resolve(__dirname, "../../examples/both-targets");

describe("examples/both-targets", () => {
  const host = new RunningHost();
  let project: PulumiProject;

  beforeAll(async () => {
    await host.start();
    project = await PulumiProject.create("");
    for (const file of ["Pulumi.yaml", "index.ts"]) await cp(join(example, file), join(project.folder, file));
    // The project's name is another one now.
    await project.ok("stack", "init", "both");
  });

  afterAll(async () => {
    await project?.[Symbol.asyncDispose]();
    await host.close();
  });

  async function stackOf(name: string): Promise<void> {
    const settings = await readFile(join(example, `Pulumi.${name}.yaml`), "utf8");
    await writeFile(join(project.folder, "Pulumi.both.yaml"), `${settings}  sandboxes:endpoint: unix:${host.socket}\n`);
  }

  it("deploys to a host of one's own", async () => {
    await stackOf("local");
    expect(await project.plan("--stack", "both")).toEqual({ create: 4 });
    await project.up("--stack", "both");
    expect(host.machines.vms.size).toBe(1);
    await project.ok("destroy", "--yes", "--skip-preview", "--stack", "both");
    expect(host.machines.vms.size).toBe(0);
  });

  it("previews for Azure, by that one value", async () => {
    await stackOf("azure");
    const unknown = await project.run("preview", "--stack", "both");
    expect(unknown.stdout).toContain("target azure needs sandboxes:subscriptionId");
    const subscription = "sandboxes:subscriptionId=11111111-1111-1111-1111-111111111111";
    const { stdout } = await project.ok("preview", "--json", "--stack", "both", "--config", subscription);
    expect(JSON.parse(stdout).changeSummary).toEqual({ create: 4 });
  });
});
