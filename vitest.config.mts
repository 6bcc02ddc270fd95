import { defineConfig } from "vitest/config";

/** Tests that start virtual machines or the Pulumi engine: one file at a time, after all others. */
const heavy = ["test/e2e/**/*.test.ts", "test/host/vm/qemu/**/*.test.ts", "test/**/*.machine.test.ts"];

export default defineConfig({
  test: {
    maxWorkers: 2,
    projects: [
      {
        extends: true,
        test: {
          name: "fast",
          include: ["test/**/*.test.ts"],
          exclude: heavy,
          globalSetup: ["tools/testing/testRun.mts"],
          testTimeout: 30_000,
          hookTimeout: 60_000,
          sequence: { groupOrder: 0 },
        },
      },
      {
        extends: true,
        test: {
          name: "machine",
          include: heavy,
          globalSetup: ["tools/testing/requireBuild.mts", "tools/testing/testRun.mts"],
          testTimeout: 300_000,
          hookTimeout: 600_000,
          fileParallelism: false,
          sequence: { groupOrder: 1 },
        },
      },
    ],
  },
});
