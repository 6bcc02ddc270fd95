import { appendFile, cp, mkdir, rm } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { RunningHost } from "../host/fakes/runningHost";
import { PulumiProject } from "./pulumiProject";
import { stackProgram } from "./stackProgram";

const root = resolve(__dirname, "../..");

describe("code in the state", () => {
  const host = new RunningHost();
  let project: PulumiProject;

  beforeAll(async () => {
    await host.start();
    project = await PulumiProject.create(stackProgram(), { "sandboxes:endpoint": `unix:${host.socket}` });
    await project.up();
  });

  afterAll(async () => {
    await project?.[Symbol.asyncDispose]();
    await host.close();
  });

  it("is only the constant text that forwards to the installed package", async () => {
    for (const [name, file] of [
      ["lab", "sandboxGroup"],
      ["python", "diskImage"],
      ["box", "sandbox"],
    ] as const) {
      const { inputs, outputs } = (await project.ours())[name]!;
      const text = String(inputs?.__provider);
      expect(outputs?.__provider).toBe(text);
      expect(text.length).toBeLessThan(200);
      // A change here makes two kinds of every user's resources; see provider/pulumi/trampoline.ts.
      const same = text.replaceAll(`pulumi-sandboxes/dynamic/${file}`, "PACKAGE");
      await expect(same).toMatchFileSnapshot("testdata/trampoline.txt");
    }
  });

  it("is not what runs: another version of the package acts at once on refresh and destroy", async () => {
    const copy = join(project.folder, "node_modules/pulumi-sandboxes");
    await rm(copy);
    await mkdir(copy);
    await cp(join(root, "package.json"), join(copy, "package.json"));
    await cp(join(root, "dist"), join(copy, "dist"), { recursive: true });
    const patched = join(copy, "dist/dynamic/sandbox.js");
    await appendFile(patched, `\nexports.read = async () => { throw new Error("read by the other version"); };\n`);
    const refreshed = await project.run("refresh", "--yes");
    expect(refreshed.exitCode).not.toBe(0);
    expect(refreshed.stdout).toContain("read by the other version");

    const group = join(copy, "dist/dynamic/sandboxGroup.js");
    await appendFile(group, `\nexports.delete = async () => { throw new Error("deleted by the other version"); };\n`);
    const destroyed = await project.run("destroy", "--yes", "--skip-preview");
    expect(destroyed.exitCode).not.toBe(0);
    expect(destroyed.stdout).toContain("deleted by the other version");
  });
});
