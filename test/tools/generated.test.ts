import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { errorsPage } from "../../tools/generate/errorsPage.ts";

test("the page of errors is the catalogue (make generate)", () => {
  expect(readFileSync(join(__dirname, "../../docs/errors.md"), "utf8")).toBe(errorsPage());
});
