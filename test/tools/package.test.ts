import { accessSync, constants, existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(__dirname, "../..");
const { exports, bin } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

test("the package has what it exports, and its commands can be run", () => {
  const files = (Object.values(exports) as string[]).filter((path) => !path.includes("*"));
  const missing = [...files, ...["sandboxGroup", "diskImage", "sandbox"].map((name) => `dist/dynamic/${name}.js`)];
  expect(missing.filter((path) => !existsSync(join(root, path)))).toEqual([]);
  for (const path of Object.values(bin) as string[]) {
    accessSync(join(root, path), constants.X_OK);
    expect(readFileSync(join(root, path), "utf8")).toMatch(/^#!\/usr\/bin\/env node\n/);
  }
});

test("the package loads by the names that programs use", async () => {
  const runtime = await import("pulumi-sandboxes/runtime");
  expect(Object.keys(runtime).sort()).toEqual(
    expect.arrayContaining(["SandboxesError", "connect", "isSandboxesError"]),
  );
  const resources = await import("pulumi-sandboxes");
  expect(Object.keys(resources)).toEqual(expect.arrayContaining(["DiskImage", "Sandbox", "SandboxGroup"]));
});
