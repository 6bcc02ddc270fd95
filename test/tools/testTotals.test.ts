import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

let folder: string;
beforeAll(() => {
  folder = mkdtempSync(join(tmpdir(), "totals-"));
});
afterAll(() => rmSync(folder, { recursive: true }));

const vitest = {
  numPassedTests: 5,
  numFailedTests: 0,
  numPendingTests: 1,
  numTodoTests: 0,
  testResults: [] as object[],
};
const cargo =
  "test result: ok. 2 passed; 0 failed; 0 ignored; 0 measured\ntest result: ok. 1 passed; 0 failed; 1 ignored;\n";

/** The closing line and the exit code, for what the runners left; undefined: they broke before they wrote anything. */
function totals(report: object | undefined, output: string | undefined, ...broken: string[]) {
  const paths = { vitest: join(folder, "vitest.json"), cargo: join(folder, "cargo.txt") };
  rmSync(paths.vitest, { force: true });
  rmSync(paths.cargo, { force: true });
  if (report) writeFileSync(paths.vitest, JSON.stringify(report));
  if (output !== undefined) writeFileSync(paths.cargo, output);
  const script = join(__dirname, "../../tools/testing/testTotals.mts");
  const run = spawnSync(process.execPath, [script, "--vitest", paths.vitest, "--cargo", paths.cargo, ...broken]);
  return { line: run.stdout.toString().trimEnd().split("\n").at(-1), exitCode: run.status };
}

describe("the closing line of make test", () => {
  test("sums all runners", () => {
    expect(totals(vitest, cargo)).toEqual({ line: "8 passed, 0 failed, 2 skipped", exitCode: 0 });
  });

  test("counts a runner that broke, once", () => {
    const oneFailed = { ...vitest, numFailedTests: 1 };
    expect(totals(vitest, cargo, "check")).toEqual({ line: "8 passed, 1 failed, 2 skipped", exitCode: 1 });
    expect(totals(vitest, cargo, "vitest")).toEqual({ line: "8 passed, 1 failed, 2 skipped", exitCode: 1 });
    expect(totals(oneFailed, cargo, "vitest")).toEqual({ line: "8 passed, 1 failed, 2 skipped", exitCode: 1 });
  });

  test("counts runners that told nothing as failed", () => {
    expect(totals(undefined, cargo)).toEqual({ line: "3 passed, 1 failed, 1 skipped", exitCode: 1 });
    expect(totals(vitest, undefined)).toEqual({ line: "5 passed, 1 failed, 1 skipped", exitCode: 1 });
  });

  test("counts a file that cannot be loaded", () => {
    const unloadable = { ...vitest, testResults: [{ status: "failed", assertionResults: [] }] };
    expect(totals(unloadable, cargo)).toEqual({ line: "8 passed, 1 failed, 2 skipped", exitCode: 1 });
  });
});
