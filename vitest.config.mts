import { defineConfig } from "vitest/config";

/** Tests that start virtual machines or the Pulumi engine: one file at a time, after all others. */
const heavy = ["test/e2e/**/*.test.ts", "test/host/vm/qemu/**/*.test.ts", "test/**/*.machine.test.ts"];

/**
 * Limits are there to end what hangs, and to tell where; a machine that is slow or busy must never reach them. What a
 * test waits for by looking again and again ends earlier than the test, so that the failure tells what was last seen.
 */
const patience = (testMs: number) => ({
  testTimeout: testMs,
  hookTimeout: testMs,
  expect: { poll: { timeout: testMs / 2 } },
});

export default defineConfig({
  test: {
    maxWorkers: 2,
    setupFiles: ["tools/testing/surroundings.ts", "tools/testing/failureReport.ts"],
    projects: [
      {
        extends: true,
        test: {
          name: "fast",
          include: ["test/**/*.test.ts"],
          exclude: heavy,
          globalSetup: ["tools/testing/testRun.mts"],
          ...patience(120_000),
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "machine",
          include: heavy,
          globalSetup: ["tools/testing/requireBuild.mts", "tools/testing/testRun.mts"],
          ...patience(600_000),
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
