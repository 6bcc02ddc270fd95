import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";

const root = join(__dirname, "../..");
const page = readFileSync(join(root, "docs/promises.md"), "utf8");
const named = [...page.matchAll(/\| `(test\/[^`]+)`: (.+) \|$/gm)].map(([, path = "", name = ""]) => [path, name]);

test.each(named)("docs/promises.md names a test of %s: %s", (path, name) => {
  expect(textOf(join(root, path as string)).some((text) => text.includes(name as string))).toBe(true);
});

function textOf(path: string): string[] {
  if (statSync(path).isFile()) return [readFileSync(path, "utf8")];
  return readdirSync(path, { recursive: true, encoding: "utf8" })
    .map((entry) => join(path, entry))
    .filter((entry) => statSync(entry).isFile())
    .map((entry) => readFileSync(entry, "utf8"));
}
