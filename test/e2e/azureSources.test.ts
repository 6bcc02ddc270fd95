import { readdir, readFile } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { AzureDouble } from "../azure/double/azureDouble";
import { PulumiProject } from "./pulumiProject";

const secrets = ["sk-ant-a-secret-key", "a-secret-of-the-pod"];

/** `key` is the preset's, `port` the one that the pod's probe looks at. */
function program(key: string, port = 8000): string {
  return `
const pulumi = require("@pulumi/pulumi");
const { DiskImage, Sandbox, SandboxGroup, Volume } = require("pulumi-sandboxes");
const group = new SandboxGroup("lab");
const image = new DiskImage("web", { group, image: "python:3.12" });
const san = new Volume("san", { group, type: "Esan", size: "10Gi" });
const agent = new Sandbox("agent", { group, preset: "Claude", anthropicApiKey: ${JSON.stringify(key)} });
const pod = new Sandbox("pod", {
  group,
  pod: {
    containers: pulumi.output([
      {
        name: "web",
        image,
        env: { TOKEN: "${secrets[1]}" },
        livenessProbe: { tcpSocket: { port: ${port} } },
      },
    ]),
  },
});
const app = new Sandbox("app", { group, artifactVersion: { id: "app-7", identity: "system" }, connections: ["mail"] });
module.exports = { ids: [agent.id, pod.id, app.id], sku: san.sku };
`;
}

// One stack, whose tests build on one another.
describe("sandboxes of Azure's other sources in a stack", () => {
  let double: AzureDouble;
  let project: PulumiProject;
  const written: string[] = [];

  beforeAll(async () => {
    double = await AzureDouble.start();
    const { "sandboxes:clientSecret": clientSecret, ...config } = double.config();
    // The project keeps the program, which has them in clear.
    project = await PulumiProject.create(program(secrets[0]!), config);
    project.env.ARM_CLIENT_SECRET = clientSecret;
  });
  afterAll(async () => {
    await project?.[Symbol.asyncDispose]();
    await double?.[Symbol.asyncDispose]();
  });

  async function run(...args: string[]): Promise<number | null> {
    const { exitCode, stdout, stderr } = await project.run(...args);
    written.push(stdout, stderr);
    return exitCode;
  }

  it("are made with their secrets, and found unchanged", async () => {
    expect(await run("preview")).toBe(0);
    expect(await run("up", "--yes", "--skip-preview")).toBe(0);
    const asked = double.sent("PUT", /\/sandboxes$/).map(({ body }) => JSON.parse(String(body)));
    expect(asked).toHaveLength(3);
    expect(asked.find((each) => each.presetSandboxType)).toMatchObject({ anthropicApiKey: secrets[0] });
    const [container] = asked.find((each) => each.sourcesRef?.pod).sourcesRef.pod.containers;
    expect(container).toMatchObject({ name: "web", env: { TOKEN: secrets[1] }, diskImage: { id: expect.any(String) } });
    expect(await project.outputs()).toMatchObject({ sku: "Premium_ZRS" });
    expect(await project.plan()).toEqual({ same: 7 });
    expect(await project.drift()).toMatchObject({ exitCode: 0 });
  });

  it("are replaced when the key or a container changes", async () => {
    await project.write(program(`${secrets[0]}-2`, 9000));
    expect(await run("preview", "--diff")).toBe(0);
    expect(await project.plan()).toMatchObject({ replace: 2, same: 5 });
    expect(await run("up", "--yes", "--skip-preview")).toBe(0);
    expect(double.counts()).toMatchObject({ groups: 1, sandboxes: 3, volumes: 1 });
  });

  it("leave no secret in the state, in output or in logs, also when Azure repeats them in an error", async () => {
    await project.write(program(`${secrets[0]}-3`));
    const message = `the key ${secrets[0]}-3 is not accepted`;
    const answer = { status: 400, json: { error: { code: "InvalidRequest", message } } };
    double.faults.add({ method: "PUT", path: /\/sandboxes$/, times: 9, kind: { answer } });
    expect(await run("up", "--yes", "--skip-preview")).not.toBe(0);
    expect(written.join("")).toContain("the key [secret] is not accepted");
    double.faults.clear();
    const state = join(project.folder, "state");
    const files = await readdir(state, { recursive: true, withFileTypes: true });
    for (const file of files.filter((each) => each.isFile())) {
      written.push(await readFile(join(file.parentPath, file.name), "utf8"));
    }
    expect(written.length).toBeGreaterThan(8);
    for (const text of written) for (const secret of secrets) expect(text.includes(secret)).toBe(false);
    expect(await run("destroy", "--yes", "--skip-preview")).toBe(0);
    expect(double.violations).toEqual([]);
  });
});
