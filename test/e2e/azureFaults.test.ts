import { cp, rm } from "node:fs/promises";
import { join } from "node:path";
import { afterAll, afterEach, beforeAll, describe, expect, it } from "vitest";
import { AzureDouble, nothing } from "../azure/double/azureDouble";
import { type Fault, type FaultKind, throttled } from "../azure/double/faults";
import type { StoredGroup } from "../azure/double/model";
import { PulumiProject, type PulumiRun } from "./pulumiProject";

const subnetId =
  "/subscriptions/s1/resourceGroups/net/providers/Microsoft.Network/virtualNetworks/office/subnets/boxes";

/** One of each; `more` is more of the program. */
function program(more = "", labels = '{ made: "first" }', image = "python:3.12"): string {
  return `
const { DiskImage, EgressPolicy, Sandbox, SandboxGroup, Secret, Snapshot, VnetConnection, Volume } =
  require("pulumi-sandboxes");
const group = new SandboxGroup("lab");
const office = new VnetConnection("office", { group, subnetId: "${subnetId}" });
const image = new DiskImage("image", { group, image: "${image}" });
const token = new Secret("token", { group, values: { TOKEN: "a-secret-token" } });
const policy = new EgressPolicy("policy", { group, defaultAction: "Deny" });
const data = new Volume("data", { group, type: "AzureBlob" });
const box = new Sandbox("box", {
  group,
  image,
  vnetConnection: office,
  egressPolicy: policy,
  volumes: [{ volume: data, mountpoint: "/data" }],
});
const prepared = new Snapshot("prepared", { group, sandbox: box, labels: ${labels} });
${more}
`;
}

const all = {
  ...nothing,
  groups: 1,
  vnetConnections: 1,
  diskImages: 1,
  secrets: 1,
  egressPolicies: 1,
  volumes: 1,
  sandboxes: 1,
  snapshots: 1,
};
const creations: [method: string, path: RegExp][] = [
  ["PUT", /\/providers\/.*\/sandboxGroups\/[^/]+$/],
  ["PUT", /\/vnetConnections\/[^/]+$/],
  ["PUT", /\/diskimages$/],
  ["PUT", /\/secrets\/[^/]+$/],
  ["PUT", /\/egressPolicies\/[^/]+$/],
  ["PUT", /\/volumes\/[^/]+$/],
  ["PUT", /\/sandboxes$/],
  ["POST", /\/snapshot$/],
];
const every = (kind: FaultKind): Fault[] => creations.map(([method, path]) => ({ method, path, kind }));

let double: AzureDouble;
let project: PulumiProject;
const kept = () => [join(project.folder, "state"), join(project.folder, "empty")] as const;

beforeAll(async () => {
  double = await AzureDouble.start();
  const { "sandboxes:clientSecret": clientSecret, ...config } = double.config();
  project = await PulumiProject.create(program(), config);
  project.env.ARM_CLIENT_SECRET = clientSecret;
  const [state, empty] = kept();
  await cp(state, empty, { recursive: true });
});

afterAll(async () => {
  await project?.[Symbol.asyncDispose]();
  await double?.[Symbol.asyncDispose]();
});

/** The next test begins with nothing, on both sides. */
afterEach(async () => {
  double.reset();
  const [state, empty] = kept();
  await rm(state, { recursive: true });
  await cp(empty, state, { recursive: true });
  await project.write(program());
});

const up = (): Promise<PulumiRun> => project.run("up", "--yes", "--skip-preview");
const stored = (): StoredGroup => [...double.control.groups.values()][0]!;

async function expectUp(run = up()): Promise<void> {
  const { exitCode, stdout } = await run;
  expect(`exit code ${exitCode}\n${stdout}`).toMatch(/^exit code 0/);
}

async function expectFailure(words: RegExp): Promise<void> {
  const { exitCode, stdout } = await up();
  expect([exitCode === 0, stdout]).toEqual([false, expect.stringMatching(words)]);
}

/** Nothing is there that the state does not know, nor the other way round. */
async function expectWhole(there = all): Promise<void> {
  double.faults.clear();
  await expectUp();
  expect(double.counts()).toEqual(there);
  const known = Object.values(await project.ours()).filter(({ id }) => id);
  expect(known).toHaveLength(8);
  expect(double.violations).toEqual([]);
}

describe("an update on Azure", () => {
  it.each([
    ["before anything came", 0],
    ["within the head", 60],
    ["within the body", 260],
  ])("takes over all whose answer was cut off %s", async (_name, cutAt) => {
    double.pace.roleDelayMs = 1_000;
    double.faults.add(...every({ cutAt }));
    await expectUp();
    expect(double.faults.hits).toBeGreaterThanOrEqual(creations.length);
    await expectWhole();
  });

  it("rides out throttling, resets and bursts of 5xx, also of what it polls", async () => {
    double.faults.add(
      ...every(throttled(1)),
      { path: /operationStatuses/, times: 2, kind: throttled(1) },
      { path: /operationStatuses/, times: 2, kind: { answer: { status: 503 } } },
      { method: "GET", plane: "data", times: 3, kind: { answer: { status: 502 } } },
      { method: "GET", plane: "control", times: 2, kind: "reset" },
      { method: "PUT", path: /\/(secrets|volumes)\//, times: 2, kind: { answer: { status: 500 } } },
    );
    await expectUp();
    await expectWhole();
  });

  it.each<[string, FaultKind, RegExp]>([
    ["connections that are reset", "reset", /was lost/],
    [
      "an error of the service",
      { answer: { status: 500, json: { error: { code: "Boom", message: "it broke" } } } },
      /it broke/,
    ],
  ])(
    "ends in an error when nothing was created because of %s, and the next one creates it",
    async (_name, kind, words) => {
      double.faults.add({ method: "PUT", path: /\/sandboxes$/, times: 9, kind });
      await expectFailure(words);
      expect(double.counts()).toMatchObject({ sandboxes: 0, snapshots: 0 });
      await expectWhole();
    },
  );

  it("ends in the reason when a connection to a network fails for good, and the next one mends it", async () => {
    const full = { code: "SubnetIsFull", message: "no address left" };
    // The group's operation is the first one.
    double.pace.operationErrors.push(undefined, full, full, full, full);
    await expectFailure(/no address left/);
    expect(double.counts()).toMatchObject({ vnetConnections: 1, sandboxes: 0 });
    double.pace.operationErrors.length = 0;
    await expectWhole();
  });

  it("ends in the registry's reason when an image cannot be pulled, and leaves nothing of it", async () => {
    await project.write(program("", undefined, "private/app:1"));
    await expectFailure(/RegistryAuthFailed/);
    expect(double.counts()).toMatchObject({ diskImages: 0, sandboxes: 0 });
    await project.write(program());
    await expectWhole();
  });

  it("waits for an image that is slow to build and a connection that is slow to be made", async () => {
    Object.assign(double.pace, { buildPolls: 3, operationPolls: 3 });
    await expectUp();
    await expectWhole();
  });

  it("waits for a sandbox that is slow to stop, and leaves it stopped", async () => {
    await expectUp();
    const box = [...stored().sandboxes.values()][0]!;
    Object.assign(box, { state: "Stopping", settlesTo: "Stopped", pollsLeft: 4 });
    await project.write(program("", '{ made: "later" }'));
    await expectUp();
    await expectWhole();
    expect(box.settlesTo ?? box.state).toBe("Stopped");
  });

  it("that runs a program which Azure gives up says so, and loses nothing", async () => {
    const run = `
const { connect } = require("pulumi-sandboxes/runtime");
module.exports = {
  said: require("@pulumi/pulumi").all([group.id, box.sandboxId]).apply(async ([id, sandboxId]) => {
    const lab = await connect({ target: "azure", group: id, apiVersion: "2026-02-01-preview" });
    const sandbox = await lab.getSandbox(sandboxId);
    return (await sandbox.exec(["echo", "hi"])).stdout;
  }),
};`;
    const cloud = double.cloud();
    Object.assign(project.env, {
      SANDBOXES_CA_FILE: double.caFile,
      ARM_TENANT_ID: double.tokens.tenant,
      ARM_CLIENT_ID: double.tokens.clientId,
      ARM_RESOURCE_MANAGER_ENDPOINT: cloud.resourceManagerEndpoint,
      ARM_RESOURCE_MANAGER_AUDIENCE: cloud.resourceManagerAudience,
      ARM_ACTIVE_DIRECTORY_AUTHORITY_HOST: cloud.activeDirectoryAuthorityHost,
      ARM_DISABLE_INSTANCE_DISCOVERY: "true",
    });
    await project.write(program(run));
    double.faults.add({ path: /executeCommand/, kind: { answer: { status: 504 } } });
    const { exitCode, stdout, stderr } = await up();
    expect([exitCode === 0, stdout + stderr]).toEqual([false, expect.stringContaining("600 s")]);
    await expectWhole();
    expect(await project.outputs()).toEqual({ said: "hi\n" });
  });

  it("gives a group its identity back that a client of another api-version dropped", async () => {
    const identity = '{ identity: { type: "SystemAssigned" } }';
    await project.write(program().replace('SandboxGroup("lab")', `SandboxGroup("lab", ${identity})`));
    await expectUp();
    expect(stored().identity).toMatchObject({ type: "SystemAssigned" });
    // As a PUT of 2026-07-01 does, whose model has none.
    stored().identity = undefined;
    const drift = await project.drift();
    expect([drift.exitCode, drift.stdout]).toEqual([7, expect.stringContaining("identity")]);
    await expectUp(project.run("up", "--yes", "--skip-preview", "--refresh"));
    expect(stored().identity).toMatchObject({ type: "SystemAssigned" });
    await expectWhole();
  });

  it("finds its own among more than Azure shows at once", async () => {
    double.faults.add(
      { method: "PUT", path: /\/sandboxes$/, kind: { cutAt: 300 } },
      { path: /\/snapshot$/, kind: "reset" },
    );
    await expectFailure(/was lost/);
    const [mine] = stored().sandboxes.values();
    for (let count = 0; count < 130; count++) {
      const id = `00000000-0000-4000-8000-${String(count).padStart(12, "0")}`;
      stored().sandboxes.set(id, { ...mine!, id, labels: { tenant: "another" } });
    }
    await expectWhole({ ...all, sandboxes: 131 });
  });
});
