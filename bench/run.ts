// Runs benchmarks: `node bench/run.ts [vm|exec|images…] [--rounds N]`, all of them unless some are named.
import { rmSync } from "node:fs";
import { parseArgs } from "node:util";
import { benchExec } from "./exec.ts";
import { benchImages } from "./images.ts";
import type { Result } from "./report.ts";
import { benchVm } from "./vm.ts";

const benches: Record<string, (options: { rounds?: number }) => Promise<Result[]>> = {
  vm: benchVm,
  exec: benchExec,
  images: benchImages,
};

/** What docs/promises.md names: the p95 of a sandbox of an image already used, ready to exec, in milliseconds. */
const promised: Record<string, number> = { "runtime: new sandbox -> echo": 1000 };

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { rounds: { type: "string" } } });
  const names = positionals.length > 0 ? positionals : Object.keys(benches);
  const unknown = names.find((name) => !benches[name]);
  if (unknown) throw new Error(`no benchmark "${unknown}"; there are ${Object.keys(benches).join(", ")}`);
  rmSync("bench/results/latest.jsonl", { force: true });
  for (const name of names) {
    const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
    for (const result of (await benches[name]?.({ rounds })) ?? []) {
      const limit = promised[result.name];
      if (limit === undefined) continue;
      const kept = result.p95 <= limit ? "kept" : "NOT KEPT in this run";
      process.stdout.write(`  promise: ${result.name} within ${limit} ms (p95): ${kept}, ${result.p95} ms\n\n`);
    }
  }
}

void main();
