import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, it } from "vitest";
import { azureSettingNames } from "../../provider/client/azure/settings";
import { readProviderConfig } from "../../provider/pulumi/providerConfig";
import { AzureDouble } from "../azure/double/azureDouble";
import { PulumiProject } from "./pulumiProject";

const page = readFileSync(join(__dirname, "../../docs/azure.md"), "utf8");

/** The page's fenced blocks, by language. */
function blocksOf(language: string): string[] {
  return [...page.matchAll(/```(\w+)\n([\s\S]*?)```/g)]
    .filter(([, name]) => name === language)
    .map(([, , text]) => text!);
}

describe("the page about Azure", () => {
  let double: AzureDouble;
  beforeAll(async () => {
    double = await AzureDouble.start();
  });
  afterAll(() => double[Symbol.asyncDispose]());

  it("has no blocks but those that are run here", () => {
    expect([...page.matchAll(/^```(\w+)$/gm)].map(([, language]) => language)).toEqual(["sh", "ts"]);
  });

  it("shows commands that configure the provider", async () => {
    await using project = await PulumiProject.create("");
    for (const line of blocksOf("sh").join("").trim().split("\n")) {
      const [program, ...args] = line.split(" ");
      expect(program).toBe("pulumi");
      await project.ok(...args);
    }
    const values = JSON.parse((await project.ok("config", "--json")).stdout);
    const { target, location, azure } = readProviderConfig((key) => values[key]?.value, {});
    expect({ target, location, azure }).toEqual({
      target: "azure",
      location: "eastus2",
      azure: { subscriptionId: "00000000-1111-2222-3333-444444444444" },
    });
  });

  it("names settings that there are", () => {
    const [, table = ""] = /\| way \| settings \|\n([\s\S]*?)\n\n/.exec(page) ?? [];
    const named = table.split("\n").flatMap((row) => [...(row.split("|")[2] ?? "").matchAll(/`([A-Za-z]+)`/g)]);
    expect(named.length).toBeGreaterThan(8);
    for (const [, name] of named) expect(azureSettingNames).toContain(name);
    const keys = [...page.matchAll(/`sandboxes:(\w+)(?:: [^`]*)?`/g)].map(([, key]) => key!);
    const known: Record<string, string> = { apiVersion: "2026-09-01-preview", target: "azure" };
    expect(keys.length).toBeGreaterThan(1);
    for (const key of keys) {
      const config = readProviderConfig(
        (name) => (name === `sandboxes:${key}` ? (known[key] ?? "given") : undefined),
        {},
      );
      expect(JSON.stringify(config)).toContain(known[key] ?? "given");
    }
  });

  it("shows a program that previews", async () => {
    const program = `
const pulumi = require("@pulumi/pulumi");
const { Sandbox, SandboxGroup } = require("pulumi-sandboxes");
const config = new pulumi.Config();
const group = new SandboxGroup("lab", {});
const [image, cache, token] = ["python", "redis", "t0ken"];
${blocksOf("ts").join("\n")}`;
    const version = { apiVersion: "2026-09-01-preview" };
    await using project = await PulumiProject.create(program, {
      ...double.config(version),
      "e2e:anthropicApiKey": "key",
    });
    expect(await project.plan()).toEqual({ create: 5 });
    expect(double.violations).toEqual([]);
  });
});
