import { chmod, cp, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AzureDouble, nothing } from "../azure/double/azureDouble";
import { PulumiProject } from "./pulumiProject";

/** What surrounds a group comes from a stand-in of azure-native's plugin; the group and all in it from the double. */
describe.each(["azure-group", "azure-full"])("examples/%s", (name) => {
  const example = resolve(__dirname, "../../examples", name);
  let double: AzureDouble;
  let project: PulumiProject;

  beforeEach(async () => {
    double = await AzureDouble.start();
    project = await PulumiProject.create("");
    const plugin = join(project.folder, "bin/pulumi-resource-azure-native");
    await cp(join(__dirname, "testdata/azureNative.cjs"), plugin);
    await chmod(plugin, 0o755);
    for (const file of ["Pulumi.yaml", "index.ts"]) await cp(join(example, file), join(project.folder, file));
    const { clientSecret, ...settings } = double.settings();
    Object.assign(project.env, { ARM_SUBSCRIPTION_ID: double.subscriptionId, ARM_CLIENT_SECRET: clientSecret });
    const config = Object.entries({
      ...Object.fromEntries(Object.entries(settings).map(([key, value]) => [`sandboxes:${key}`, value])),
      "sandboxes:caCertificate": double.ca,
      // The only one that the double has.
      resourceGroupName: double.resourceGroup,
      token: "of the service",
    });
    const lines = config.map(([key, value]) => `  ${key}: ${JSON.stringify(value)}`);
    await writeFile(join(project.folder, "Pulumi.example.yaml"), `config:\n${lines.join("\n")}\n`);
    await project.ok("stack", "init", "example");
  });

  afterEach(async () => {
    await project?.[Symbol.asyncDispose]();
    await double?.[Symbol.asyncDispose]();
  });

  it("is previewed without a call to Azure, deployed, found unchanged, and destroyed", async () => {
    const stack = ["--stack", "example"];
    const { stdout } = await project.ok("preview", "--json", ...stack);
    const { changeSummary: plan, diagnostics } = JSON.parse(stdout);
    expect(Object.keys(plan)).toEqual(["create"]);
    const costs = diagnostics.filter(({ message }: { message: string }) => message.startsWith("While nobody uses"));
    expect(costs).toMatchObject([{ message: expect.stringContaining("suspended when idle") }]);
    expect(double.requests).toEqual([]);
    await project.up(...stack);
    expect(double.counts()).toMatchObject({ groups: 1 });
    expect(double.counts().sandboxes).toBeGreaterThan(0);
    expect(await project.plan(...stack)).toEqual({ same: plan.create });
    await project.ok("destroy", "--yes", "--skip-preview", ...stack);
    expect(double.counts()).toEqual(nothing);
    expect(double.violations).toEqual([]);
  });
});
