import { readdir, readFile, stat } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { AzureDouble, nothing } from "../azure/double/azureDouble";
import { type Fault, throttled } from "../azure/double/faults";
import type { Pace } from "../azure/double/model";
import { PulumiProject, type PulumiRun } from "./pulumiProject";
import { secretValue } from "./stackProgram";

const program = `
const pulumi = require("@pulumi/pulumi");
const { DiskImage, Sandbox, SandboxGroup } = require("pulumi-sandboxes");
const group = new SandboxGroup("lab", { tags: { team: "red" } });
const image = new DiskImage("python", {
  group,
  image: "python:3.12",
  credentials: { username: "me", password: pulumi.secret("registry-${secretValue}") },
});
const box = new Sandbox("box", {
  group,
  image,
  memory: "1Gi",
  labels: { tier: "one" },
  env: { TOKEN: pulumi.secret("${secretValue}") },
});
module.exports = { groupId: group.id, endpoint: group.managementEndpoint, sandboxId: box.id };
`;

let double: AzureDouble;
let project: PulumiProject;
const runs: PulumiRun[] = [];

beforeAll(async () => {
  double = await AzureDouble.start();
  // Secrets reach the provider by the environment, as in a pipeline; the rest by the configuration.
  const { "sandboxes:clientSecret": clientSecret, ...config } = double.config({ location: "East US 2" });
  project = await PulumiProject.create(program, config);
  project.env.ARM_CLIENT_SECRET = clientSecret;
});

afterAll(async () => {
  await project?.[Symbol.asyncDispose]();
  await double?.[Symbol.asyncDispose]();
});

async function run(...args: string[]): Promise<PulumiRun> {
  const result = await project.run(...args);
  runs.push(result);
  return result;
}

const up = () => run("up", "--yes", "--skip-preview");

/** What Azure has, and what the state knows, are the same things. */
async function expectNothingLost(): Promise<void> {
  const known = Object.values(await project.ours());
  const of = (type: string) => known.filter((resource) => resource.type.endsWith(type)).length;
  expect(double.counts()).toEqual({
    ...nothing,
    groups: of("Group"),
    diskImages: of("DiskImage"),
    sandboxes: of(":Sandbox"),
  });
}

describe("a stack on Azure, driven by the Pulumi command line", () => {
  it("is made, found unchanged, refreshed without a difference, and destroyed", async () => {
    expect(await up()).toMatchObject({ exitCode: 0 });
    expect(double.counts()).toEqual({ ...nothing, groups: 1, diskImages: 1, sandboxes: 1 });
    expect(await project.outputs()).toMatchObject({ endpoint: double.dataEndpoint });
    expect(await project.plan()).toEqual({ same: 4 });
    expect(await project.drift()).toMatchObject({ exitCode: 0 });
    // A label cannot be changed on Azure, so that this makes another sandbox and removes the first.
    await project.write(program.replace('tier: "one"', 'tier: "two"'));
    expect(await project.plan()).toMatchObject({ replace: 1, same: 3 });
    expect(await up()).toMatchObject({ exitCode: 0 });
    expect(double.counts()).toEqual({ ...nothing, groups: 1, diskImages: 1, sandboxes: 1 });
    await project.write(program);
    expect(await run("destroy", "--yes", "--skip-preview")).toMatchObject({ exitCode: 0 });
    expect(double.counts()).toEqual(nothing);
    expect(double.violations).toEqual([]);
  });

  it("writes none of its secrets anywhere", async () => {
    const secrets = [double.tokens.clientSecret, secretValue, ...double.tokens.issued.keys()];
    const written = [...runs.flatMap(({ stdout, stderr }) => [stdout, stderr]), ...(await filesOf(project.folder))];
    expect(written.length).toBeGreaterThan(10);
    for (const text of written) {
      for (const secret of secrets) expect(text.includes(secret)).toBe(false);
    }
  });
});

describe("the engine's most talkative log", () => {
  it("has no credential of Azure, and of the program's secrets only what the engine itself writes down", async () => {
    const { exitCode, stdout, stderr } = await project.run("up", "--yes", "--logtostderr", "--logflow", "-v=9");
    expect(exitCode).toBe(0);
    expect(stderr.length).toBeGreaterThan(50_000);
    for (const secret of [double.tokens.clientSecret, ...double.tokens.issued.keys()]) {
      expect((stdout + stderr).includes(secret)).toBe(false);
    }
    // Engine and SDK note the properties of every resource of every provider as they pass; see docs/security.md.
    const theirs = /"msg":"((Unm|M)arshaling property for|(eventSink::Debug\(<\{%reset%\}>)?RegisterResource) RPC/;
    const lines = stderr.split("\n").filter((line) => line.includes(secretValue));
    expect(lines.filter((line) => !theirs.test(line))).toEqual([]);
    expect(stdout.includes(secretValue)).toBe(false);
    expect(await run("destroy", "--yes", "--skip-preview")).toMatchObject({ exitCode: 0 });
  });
});

const create = { method: "PUT", times: 1 } as const;
const faults: [string, Fault[], Partial<Pace>, "succeeds" | "fails"][] = [
  ["a role that takes effect late", [], { roleDelayMs: 3_000 }, "succeeds"],
  [
    "throttled creations",
    [{ path: /\/(diskimages|sandboxes)$/, method: "PUT", times: 2, kind: throttled(1) }],
    {},
    "succeeds",
  ],
  ["a throttled operation", [{ path: /operationStatuses/, times: 2, kind: throttled(1) }], {}, "succeeds"],
  ["a creation of a group cut off", [{ ...create, plane: "control", kind: { cutAt: 40 } }], {}, "succeeds"],
  ["a creation of an image cut off", [{ ...create, path: /\/diskimages$/, kind: { cutAt: 0 } }], {}, "succeeds"],
  ["a creation of a sandbox cut off", [{ ...create, path: /\/sandboxes$/, kind: { cutAt: 300 } }], {}, "succeeds"],
  [
    "a creation of a sandbox cut off, and the service gone after that",
    [
      { ...create, path: /\/sandboxes$/, kind: { cutAt: 300 } },
      {
        method: "GET",
        path: /\/sandboxes$/,
        skip: 1,
        times: 99,
        kind: { answer: { status: 400, json: { error: { code: "Odd" } } } },
      },
    ],
    {},
    "fails",
  ],
  [
    "provisioning that fails",
    [],
    { operationErrors: Array.from({ length: 6 }, () => ({ code: "SubnetIsFull", message: "no address left" })) },
    "fails",
  ],
  [
    "a subscription without quota",
    [{ ...create, times: 9, path: /\/sandboxes$/, kind: refusal(409, "QuotaExceeded") }],
    {},
    "fails",
  ],
];

describe("what goes wrong on Azure", () => {
  afterEach(async () => {
    double.reset();
    // After a failure too the next one begins with nothing.
    if (Object.keys(await project.ours()).length > 0) await project.run("refresh", "--yes", "--skip-preview");
  });

  it.each(faults)("%s leaves nothing behind and loses nothing", async (_name, list, pace, end) => {
    Object.assign(double.pace, pace);
    double.faults.add(...list);
    const first = await up();
    expect(`exit code ${first.exitCode}\n${first.stdout}`).toMatch(
      end === "succeeds" ? /^exit code 0/ : /^exit code [^0]/,
    );
    if (end === "fails") expect(first.stdout).toMatch(/(was lost|no address left|quota)/);
    if (list.length > 0) expect(double.faults.hits).toBeGreaterThan(0);
    double.faults.clear();
    double.pace.operationErrors.length = 0;
    expect(await up()).toMatchObject({ exitCode: 0 });
    await expectNothingLost();
    expect(double.counts()).toEqual({ ...nothing, groups: 1, diskImages: 1, sandboxes: 1 });
    expect(await run("destroy", "--yes", "--skip-preview")).toMatchObject({ exitCode: 0 });
    expect(double.counts()).toEqual(nothing);
    expect(double.violations).toEqual([]);
  });
});

function refusal(status: number, code: string) {
  return { answer: { status, json: { error: { code, message: `refused: ${code}` } } } };
}

/** Texts of all files below, but of what only links lead to. */
async function filesOf(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true });
  const texts = await Promise.all(
    entries.map(async (entry) => {
      const path = join(folder, entry.name);
      if (entry.isDirectory() && entry.name !== "node_modules" && entry.name !== "bin") return filesOf(path);
      // The program itself holds what it makes secret.
      if (!entry.isFile() || entry.name === "index.js" || (await stat(path)).size > 2 ** 24) return [];
      return [await readFile(path, "latin1")];
    }),
  );
  return texts.flat();
}
