import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { connect } from "../../provider/runtime";
import { AzureDouble } from "../azure/double/azureDouble";
import { doubleApi } from "../azure/doubleApi";
import { runtimeScenarios } from "./scenarios";

/** The environment of an application that a stack on the double was deployed for. */
function useDouble(double: AzureDouble): () => void {
  const environment: Record<string, string> = {
    SANDBOXES_TARGET: "azure",
    SANDBOXES_CA_FILE: double.caFile,
    ARM_RESOURCE_MANAGER_ENDPOINT: double.controlEndpoint,
    ARM_RESOURCE_MANAGER_AUDIENCE: double.cloud().resourceManagerAudience!,
    ARM_ACTIVE_DIRECTORY_AUTHORITY_HOST: double.authority,
    ARM_DISABLE_INSTANCE_DISCOVERY: "true",
    ARM_TENANT_ID: double.tokens.tenant,
    ARM_CLIENT_ID: double.tokens.clientId,
    ARM_CLIENT_SECRET: double.tokens.clientSecret,
  };
  const before = { ...process.env };
  Object.assign(process.env, environment);
  return () => {
    for (const name of Object.keys(environment)) delete process.env[name];
    Object.assign(process.env, before);
  };
}

async function deployedGroup(double: AzureDouble): Promise<string> {
  const api = doubleApi(double);
  const { name } = await api.groups.put("lab", { location: double.location });
  await api.close();
  const scope = `/subscriptions/${double.subscriptionId}/resourceGroups/${double.resourceGroup}`;
  return `${scope}/providers/Microsoft.App/sandboxGroups/${name}`;
}

for (const apiVersion of ["2026-02-01-preview", "2026-09-01-preview"] as const) {
  runtimeScenarios(`Azure's double, ${apiVersion}`, async () => {
    const double = await AzureDouble.start();
    const restore = useDouble(double);
    const group = await connect({ group: await deployedGroup(double), apiVersion });
    restore();
    const close = async () => {
      await group.close();
      const { violations } = double;
      await double[Symbol.asyncDispose]();
      expect(violations).toEqual([]);
    };
    return {
      group,
      image: "ubuntu",
      memory: "2048Mi",
      lacks: ["streamedInput", "signals", "startFailures", "aborts", "background"],
      close,
    };
  });
}

describe("connect to Azure", () => {
  let double: AzureDouble;
  let restore: () => void;
  beforeEach(async () => {
    double = await AzureDouble.start();
    restore = useDouble(double);
  });
  afterEach(async () => {
    restore();
    await double[Symbol.asyncDispose]();
  });

  it("wants a group, which it does not make", async () => {
    const where = { subscriptionId: double.subscriptionId, resourceGroupName: double.resourceGroup };
    await expect(connect(where)).rejects.toMatchObject({ code: "Invalid", field: "group" });
    await expect(connect({ ...where, group: "none" })).rejects.toMatchObject({ code: "GroupNotFound" });
    await expect(connect({ group: "none" })).rejects.toMatchObject({ field: "subscriptionId" });
    expect(double.counts().groups).toBe(0);
  });

  it.each([
    [
      { preset: "Claude", anthropicApiKey: "sk-ant-a-secret-key", env: { A: "1" } } as const,
      { presetSandboxType: "Claude", anthropicApiKey: "sk-ant-a-secret-key", environment: { A: "1" } },
    ],
    [
      { artifactVersion: { id: "app-7", auth: { identity: "system" } }, resources: { cpu: "2000m", memory: "4Gi" } },
      {
        sourcesRef: { artifactVersion: { id: "app-7", auth: { identity: "system" } } },
        resources: { cpu: "2000m", memory: "4Gi" },
      },
    ],
    [
      { pod: { containers: [{ name: "web", diskImage: { name: "python", isPublic: true } }] } },
      { sourcesRef: { pod: { containers: [{ name: "web", diskImage: { name: "python", isPublic: true } }] } } },
    ],
  ])("makes sandboxes from what only Azure has: %o", async (source, asked) => {
    const group = await connect({ group: await deployedGroup(double) });
    const sandbox = await group.createSandbox({ ...source, labels: { made: "here" } });
    expect((await sandbox.exec(["echo", "hi"])).stdout).toBe("hi\n");
    const [sent] = double.sent("PUT", /\/sandboxes$/);
    expect(JSON.parse(String(sent?.body))).toEqual({ ...asked, labels: { made: "here" } });
    await group.close();
    expect(double.violations).toEqual([]);
  });

  it("takes a credential in place of the environment's", async () => {
    delete process.env.ARM_CLIENT_SECRET;
    const asked: string[] = [];
    const credential = {
      getToken: async (scope: string) => {
        asked.push(scope);
        const token = double.tokens.issue(scope.replace("/.default", ""));
        return { token, expiresOnTimestamp: Date.now() + 3_600_000 };
      },
    };
    const group = await connect({ group: await deployedGroup(double), credential });
    await using sandbox = await group.createSandbox({ image: "ubuntu" });
    expect((await sandbox.exec("echo hello")).stdout).toBe("hello\n");
    expect(asked).toEqual([
      `${double.cloud().resourceManagerAudience}/.default`,
      "https://dynamicsessions.io/.default",
    ]);
  });

  it("leaves neither the input's file nor the watch of a time limit in the guest", async () => {
    const group = await connect({ group: await deployedGroup(double) });
    await using sandbox = await group.createSandbox({ image: "ubuntu" });
    const { stdout } = await sandbox.exec(["cat"], { stdin: "hello", timeoutMs: 60_000 });
    expect(stdout).toBe("hello");
    expect(await sandbox.files.list("/tmp")).toEqual([]);
  });
});
