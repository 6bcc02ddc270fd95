import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RunningHost } from "../host/fakes/runningHost";
import { PulumiProject } from "./pulumiProject";

function program(change: { pattern: string; port: number }): string {
  return `
const { EgressPolicy, Sandbox, SandboxGroup } = require("pulumi-sandboxes");
const group = new SandboxGroup("lab");
const packages = new EgressPolicy("packages", { group, hostRules: [{ pattern: ${JSON.stringify(change.pattern)} }] });
new Sandbox("follows", { group, image: "python", egressPolicy: packages });
const ports = [{ port: ${change.port}, auth: { anonymous: true } }];
const box = new Sandbox("box", { group, image: "python", ports, egress: { defaultAction: "Allow" } });
module.exports = { urls: box.urls };
`;
}

// One stack, whose tests build on one another.
describe("the network of a stack's sandboxes", () => {
  const host = new RunningHost();
  let project: PulumiProject;

  beforeAll(async () => {
    await host.start();
    const first = program({ pattern: "*.pypi.org", port: 80 });
    project = await PulumiProject.create(first, { "sandboxes:endpoint": `unix:${host.socket}` });
  });

  afterAll(async () => {
    await project?.[Symbol.asyncDispose]();
    await host.close();
  });

  const live = async (name: string) => (await host.call("GET", String((await project.ours())[name]?.id))).body;

  it("is as declared, and there is nothing to do after a refresh", async () => {
    await project.up();
    expect(await live("follows")).toMatchObject({ egressPolicy: { hostRules: [{ pattern: "*.pypi.org" }] } });
    expect(await live("box")).toMatchObject({ ports: [{ port: 80 }], egressPolicy: { defaultAction: "Allow" } });
    expect((await project.outputs()).urls).toEqual({ "80": expect.stringMatching(/^http:/) });
    expect(await project.plan("--refresh", "--expect-no-changes")).toEqual({ same: 5 });
  });

  it("changes in place, for sandboxes that run", async () => {
    await project.write(program({ pattern: "*.npmjs.org", port: 81 }));
    expect(await project.plan()).toEqual({ same: 3, update: 2 });
    await project.up();
    expect(await live("follows")).toMatchObject({ egressPolicy: { hostRules: [{ pattern: "*.npmjs.org" }] } });
    expect(await live("box")).toMatchObject({ ports: [{ port: 81 }] });
    expect(await project.drift()).toMatchObject({ exitCode: 0 });
  });

  it("keeps of the policy's provider only the constant text that forwards to the installed package", async () => {
    const text = String((await project.ours()).packages?.inputs?.__provider);
    const same = text.replaceAll("pulumi-sandboxes/dynamic/egressPolicy", "PACKAGE");
    await expect(same).toMatchFileSnapshot("testdata/trampoline.txt");
  });

  it("is gone after a destroy", async () => {
    await project.destroy();
    expect(host.machines.vms.size).toBe(0);
  });
});
