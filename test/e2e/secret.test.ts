import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RunningHost } from "../host/fakes/runningHost";
import { PulumiProject } from "./pulumiProject";

const values = ["correct-horse-battery", "changed-by-the-program", "written-by-another"];

function program(value: string): string {
  return `
const { Secret, SandboxGroup } = require("pulumi-sandboxes");
const group = new SandboxGroup("lab");
const login = new Secret("login", { group, values: { TOKEN: ${JSON.stringify(value)}, USER: "joe-the-user" } });
module.exports = { secretId: login.name, keys: login.keys, values: login.values };
`;
}

// One stack, whose tests build on one another.
describe("a secret in a stack", () => {
  const host = new RunningHost();
  let project: PulumiProject;

  beforeAll(async () => {
    await host.start();
    project = await PulumiProject.create(program(values[0]!), { "sandboxes:endpoint": `unix:${host.socket}` });
  });

  afterAll(async () => {
    await project?.[Symbol.asyncDispose]();
    await host.close();
  });

  const login = async () => (await project.ours()).login!;
  const peek = async () => (await host.call("POST", `${(await login()).id}/peek`)).body.values;

  it("is written to the host, and in clear to no state and no output", async () => {
    const { stdout } = await project.up();
    expect(await peek()).toEqual({ TOKEN: values[0], USER: "joe-the-user" });
    const shown = stdout + JSON.stringify(await project.state()) + JSON.stringify(await project.outputs());
    for (const value of [...values, "joe-the-user"]) expect(shown).not.toContain(value);
    expect((await project.outputs()).keys).toEqual(["TOKEN", "USER"]);
    expect(await project.plan("--refresh", "--expect-no-changes")).toEqual({ same: 3 });
  });

  it("keeps of its provider only the constant text that forwards to the installed package", async () => {
    const text = String((await login()).inputs?.__provider);
    const same = text.replaceAll("pulumi-sandboxes/dynamic/secret", "PACKAGE");
    await expect(same).toMatchFileSnapshot("testdata/trampoline.txt");
  });

  it("changes its values in place", async () => {
    const before = await login();
    await project.write(program(values[1]!));
    expect(await project.plan()).toMatchObject({ update: 1 });
    const { stdout } = await project.up();
    expect((await login()).id).toBe(before.id);
    expect(await peek()).toMatchObject({ TOKEN: values[1] });
    expect(stdout + JSON.stringify(await project.state())).not.toContain(values[1]);
  });

  it("is written again when somebody else has changed a value, which is not shown either", async () => {
    await host.call("PUT", String((await login()).id), { values: { TOKEN: values[2], USER: "joe-the-user" } });
    const drift = await project.drift();
    expect(drift.exitCode).toBe(7);
    await project.ok("refresh", "--yes");
    expect(drift.stdout + JSON.stringify(await project.state())).not.toContain(values[2]);
    await project.up("--refresh");
    expect(await peek()).toMatchObject({ TOKEN: values[1] });
    expect(await project.drift()).toMatchObject({ exitCode: 0 });
  });

  it("is gone after a destroy", async () => {
    const { id } = await login();
    await project.destroy();
    expect((await host.call("GET", String(id))).status).toBe(404);
  });
});
