// Sums what the test runners counted into the closing line of `make test`, and exits with 1 unless all passed.
// testTotals.mts --vitest REPORT.json --cargo OUTPUT.txt [BROKEN RUNNER…]
import { readFileSync } from "node:fs";
import { parseArgs } from "node:util";

interface Counts {
  passed: number;
  failed: number;
  skipped: number;
}

const { values, positionals: broken } = parseArgs({
  allowPositionals: true,
  options: { vitest: { type: "string" }, cargo: { type: "string" } },
});
const byRunner: Record<string, Counts> = {
  vitest: vitestCounts(read(values.vitest)),
  "cargo test": cargoCounts(read(values.cargo)),
};
for (const runner of broken) {
  // A runner that stopped, or failed outside any test, has counted nothing for that itself.
  byRunner[runner] ??= { passed: 0, failed: 0, skipped: 0 };
  byRunner[runner].failed ||= 1;
}
const total: Counts = { passed: 0, failed: 0, skipped: 0 };
for (const [runner, counts] of Object.entries(byRunner)) {
  total.passed += counts.passed;
  total.failed += counts.failed;
  total.skipped += counts.skipped;
  process.stdout.write(`${runner}: ${counts.passed} ok, ${counts.failed} not ok, ${counts.skipped} left out\n`);
}
process.stdout.write(
  `${total.passed} passed, ${total.failed} failed${total.skipped > 0 ? `, ${total.skipped} skipped` : ""}\n`,
);
process.exitCode = total.failed > 0 || total.passed === 0 ? 1 : 0;

function read(path: string | undefined): string | undefined {
  try {
    return path === undefined ? undefined : readFileSync(path, "utf8");
  } catch {
    // No report: the runner broke before it wrote one, which counts as a failure below.
    return undefined;
  }
}

function vitestCounts(report: string | undefined): Counts {
  if (report === undefined) {
    return { passed: 0, failed: 1, skipped: 0 };
  }
  const parsed = JSON.parse(report) as {
    numPassedTests: number;
    numFailedTests: number;
    numPendingTests: number;
    numTodoTests: number;
    testResults: { status: string; assertionResults: unknown[] }[];
  };
  // A file that cannot even be loaded fails with no test in it.
  const unloadable = parsed.testResults.filter(
    (file) => file.status === "failed" && file.assertionResults.length === 0,
  );
  return {
    passed: parsed.numPassedTests,
    failed: parsed.numFailedTests + unloadable.length,
    skipped: parsed.numPendingTests + parsed.numTodoTests,
  };
}

function cargoCounts(output: string | undefined): Counts {
  const counts: Counts = { passed: 0, failed: 0, skipped: 0 };
  const lines = [...(output ?? "").matchAll(/^test result: \w+\. (\d+) passed; (\d+) failed; (\d+) ignored;/gm)];
  for (const [, passed, failed, ignored] of lines) {
    counts.passed += Number(passed);
    counts.failed += Number(failed);
    counts.skipped += Number(ignored);
  }
  if (lines.length === 0) {
    counts.failed = 1;
  }
  return counts;
}
