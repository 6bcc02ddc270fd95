import { execFile } from "node:child_process";
import { readdirSync, readFileSync } from "node:fs";
import { release } from "node:os";
import { join, resolve } from "node:path";
import { promisify } from "node:util";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { connect } from "../../provider/runtime";
import { PulumiProject } from "./pulumiProject";

const run = promisify(execFile);
const command = resolve(__dirname, "../../dist/cli/main.js");

/** The first import of an image bootstraps Debian from its mirrors, and the first sandbox boots a template. */
const firstTimeMs = 15 * 60_000;

/** The quickstart's program, and an environment variable. */
const program = `
const { DiskImage, Sandbox, SandboxGroup } = require("pulumi-sandboxes");
const group = new SandboxGroup("quickstart");
const python = new DiskImage("python", { group, image: "python" });
const box = new Sandbox("first", { group, image: python, env: { GREETING: "hello from Pulumi" } });
module.exports = { groupId: group.id, sandboxId: box.sandboxId, isolation: box.isolation };
`;

describe("a stack on virtual machines, with a host that the provider starts by itself", () => {
  let project: PulumiProject;
  let dataDir: string;

  beforeAll(async () => {
    project = await PulumiProject.create(program);
    dataDir = join(project.folder, "data");
    await project.ok("config", "set", "sandboxes:dataDir", dataDir);
    project.limitMs = firstTimeMs;
  });

  afterAll(async () => {
    await run(process.execPath, [command, "host", "stop"], { env: { ...process.env, SANDBOXES_DATA_DIR: dataDir } });
    await project?.[Symbol.asyncDispose]();
  });

  /** Command lines of all processes that have to do with the data directory. */
  function processes(): string[] {
    return readdirSync("/proc").flatMap((pid) => {
      if (!/^\d+$/.test(pid) || Number(pid) === process.pid) return [];
      try {
        const line = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ");
        return line.includes(dataDir) ? [line] : [];
      } catch {
        return []; // It has ended meanwhile.
      }
    });
  }

  it("starts no host for a preview of what does not exist", async () => {
    expect(await project.plan()).toEqual({ create: 4 });
    expect(processes()).toEqual([]);
  });

  it("deploys, and runs Python in a machine whose kernel is not ours", { timeout: firstTimeMs + 60_000 }, async () => {
    await project.up();
    const outputs = await project.outputs();
    const group = await connect({ group: outputs.groupId, dataDir });
    const sandbox = await group.getSandbox(String(outputs.sandboxId));
    const code = "import os, platform; print(os.environ['GREETING'], platform.release())";
    const { stdout } = await sandbox.exec(["python3", "-c", code], { check: true });
    expect(stdout).toContain("hello from Pulumi ");
    expect(stdout).not.toContain(release());
    await group.close();
    expect(await project.plan("--refresh")).toEqual({ same: 4 });
  });

  it("repairs a sandbox whose machine went with its host", async () => {
    const { sandboxId: before } = await project.outputs();
    await run(process.execPath, [command, "host", "stop"], { env: { ...process.env, SANDBOXES_DATA_DIR: dataDir } });
    expect(processes()).toEqual([]);
    await project.up("--refresh");
    const { sandboxId, groupId } = await project.outputs();
    expect(sandboxId).not.toBe(before);
    const group = await connect({ group: groupId, dataDir });
    const sandbox = await group.getSandbox(String(sandboxId));
    expect(await sandbox.exec("echo $GREETING")).toMatchObject({ stdout: "hello from Pulumi\n", exitCode: 0 });
    await group.close();
  });

  it("destroys all, and leaves no process behind once the host stops", async () => {
    await project.destroy();
    const env = { ...process.env, SANDBOXES_DATA_DIR: dataDir };
    const { stdout } = await run(process.execPath, [command, "host", "status", "--json"], { env });
    expect(JSON.parse(stdout)).toMatchObject({ running: true });
    await run(process.execPath, [command, "host", "stop"], { env });
    expect(processes()).toEqual([]);
  });
});
