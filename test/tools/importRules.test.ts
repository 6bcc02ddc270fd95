import { execFileSync, spawnSync } from "node:child_process";
import { cpSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const root = join(__dirname, "../..");
let checkout: string;

beforeAll(() => {
  checkout = mkdtempSync(join(tmpdir(), "rules-"));
  cpSync(join(root, "biome.json"), join(checkout, "biome.json"));
  cpSync(join(root, "tools/lint"), join(checkout, "tools/lint"), { recursive: true });
});
afterAll(() => rmSync(checkout, { recursive: true }));

/** What the linter says about a file at that place with these lines, by the name of the rule. */
function complaints(path: string, ...lines: string[]): string[] {
  const file = join(checkout, path);
  mkdirSync(dirname(file), { recursive: true });
  writeFileSync(file, `${lines.join("\n")}\n`);
  const biome = join(root, "node_modules/.bin/biome");
  const run = spawnSync(biome, ["lint", "--vcs-enabled=false", "--reporter=json", path], { cwd: checkout });
  rmSync(file);
  const report = JSON.parse(run.stdout.toString()) as { diagnostics: { category: string }[] };
  return report.diagnostics.map(({ category }) => category).sort();
}

const restricted = "lint/style/noRestrictedImports";

describe("the import rules", () => {
  test.each([
    ["provider/client/x.ts", "../host/server"],
    ["provider/client/x.ts", "../runtime"],
    ["provider/client/wire/x.ts", "../../host/store/database"],
    ["provider/client/x.ts", "@pulumi/pulumi"],
    ["provider/runtime/x.ts", "../host/server"],
    ["provider/runtime/x.ts", "@pulumi/pulumi"],
    ["provider/runtime/x.ts", "../resources/sandbox"],
    ["provider/resources/x.ts", "../host/server"],
    ["provider/resources/x.ts", "../runtime"],
    ["provider/pulumi/x.ts", "../host/server"],
    ["provider/cli/x.ts", "../host/server"],
    ["provider/cli/x.ts", "../resources/sandbox"],
    ["provider/cli/hostServe.ts", "@pulumi/pulumi"],
    ["provider/host/services/x.ts", "../../client/sandboxApi"],
    ["provider/host/services/x.ts", "../../client"],
    ["provider/host/services/x.ts", "../../cli/main"],
    ["provider/host/services/x.ts", "fastify"],
    ["provider/host/services/x.ts", "node:http"],
    ["provider/host/services/x.ts", "../vm/qemu/machine"],
    ["provider/host/images/x.ts", "../vm/qemu/machine"],
    ["provider/host/routes/x.ts", "../../client/sandboxApi"],
    ["provider/host/routes/x.ts", "../vm/qemu/machine"],
    ["provider/host/vm/qemu/x.ts", "../../services/sandboxes"],
    ["provider/host/vm/qemu/x.ts", "fastify"],
  ])("%s may not import %s", (path, source) => {
    expect(complaints(path, `export * from "${source}";`)).toContain(restricted);
  });

  test.each([
    ["provider/host/services/x.ts", "../../client/errors"],
    ["provider/host/services/x.ts", "../../client/wire/groups"],
    ["provider/host/services/x.ts", "../vm/driver"],
    ["provider/host/routes/x.ts", "fastify"],
    ["provider/host/server.ts", "./vm/qemu/machine"],
    ["provider/host/vm/qemu/x.ts", "./arguments"],
    ["provider/resources/x.ts", "@pulumi/pulumi"],
    ["provider/pulumi/x.ts", "@pulumi/pulumi/dynamic"],
    ["provider/runtime/x.ts", "../client"],
    ["provider/cli/x.ts", "../runtime"],
    ["provider/cli/main.ts", "./host"],
    ["provider/cli/hostServe.ts", "../host/server"],
    ["test/host/x.test.ts", "../../provider/host/vm/qemu/machine"],
  ])("%s may import %s", (path, source) => {
    expect(complaints(path, `export * from "${source}";`)).toEqual([]);
  });

  test("only the command line reads the program's arguments", () => {
    expect(complaints("provider/client/x.ts", "export const seen = process.argv.length;")).toEqual(["plugin"]);
    expect(complaints("provider/cli/x.ts", "export const seen = process.argv.length;")).toEqual([]);
  });

  test("nothing but the command line prints", () => {
    expect(complaints("provider/host/x.ts", 'console.log("x");')).toEqual(["lint/suspicious/noConsole"]);
    expect(complaints("provider/cli/x.ts", 'console.log("x");')).toEqual([]);
  });
});

test("the lock files hold no address of a registry", () => {
  const locks = execFileSync("git", ["ls-files", "*package-lock.json"], { cwd: root, encoding: "utf8" })
    .trim()
    .split("\n");
  for (const lock of locks) {
    const addresses = spawnSync("grep", ["-n", '"resolved": "http', join(root, lock)], { encoding: "utf8" }).stdout;
    expect(addresses, lock).toBe("");
  }
});
