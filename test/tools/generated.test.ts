import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { errorsPage } from "../../tools/generate/errorsPage.mts";
import { withQuotedFiles } from "../../tools/generate/quotedFiles.mts";

const pageOf = (path: string): string => readFileSync(join(__dirname, "../..", path), "utf8");

test("the page of errors is the catalogue (make generate)", () => {
  expect(pageOf("docs/errors.md")).toBe(errorsPage());
});

test.each(["README.md", "docs/azureSdks.md"])("%s shows the examples as they are (make generate)", (page) => {
  expect(pageOf(page)).toBe(withQuotedFiles(page));
});

test("README shows how to use the runtime", () => {
  expect(pageOf("README.md")).toContain('from "pulumi-sandboxes/runtime"');
});
