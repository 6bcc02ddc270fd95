// Runs benchmarks: `node bench/run.ts [vm|endToEnd|burst|density|suspend|exec|images|azure…] [--rounds N]`, all of them unless
// some are named. Prints tables and what became of the goals; results are in bench/results/latest.jsonl.
import { rmSync } from "node:fs";
import { loadavg } from "node:os";
import { parseArgs } from "node:util";
import { benchAzure } from "./azure.ts";
import { benchBurst } from "./burst.ts";
import { benchDensity } from "./density.ts";
import { benchEndToEnd } from "./endToEnd.ts";
import { benchExec } from "./exec.ts";
import { printGoals } from "./goals.ts";
import { benchImages } from "./images.ts";
import { benchPeers } from "./peers.ts";
import type { Result } from "./report.ts";
import { benchSuspend } from "./suspend.ts";
import { benchVm } from "./vm.ts";

const benches: Record<string, (options: { rounds?: number }) => Promise<Result[]>> = {
  vm: benchVm,
  endToEnd: benchEndToEnd,
  burst: benchBurst,
  density: () => benchDensity(),
  suspend: benchSuspend,
  exec: benchExec,
  images: benchImages,
  peers: benchPeers,
  azure: benchAzure,
};

async function main(): Promise<void> {
  const { values, positionals } = parseArgs({ allowPositionals: true, options: { rounds: { type: "string" } } });
  const names = positionals.length > 0 ? positionals : Object.keys(benches);
  const unknown = names.find((name) => !benches[name]);
  if (unknown) throw new Error(`no benchmark "${unknown}"; there are ${Object.keys(benches).join(", ")}`);
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  rmSync("bench/results/latest.jsonl", { force: true });
  const load = loadavg()[0] ?? 0;
  if (process.env.BENCH_PRIORITY) process.stdout.write("Measured at real-time priority, before all other work.\n");
  if (load > 0.5) process.stdout.write(`The machine is busy (load ${load.toFixed(1)}): read ratios, not times.\n`);
  const results: Result[] = [];
  for (const name of names) results.push(...((await benches[name]?.({ rounds })) ?? []));
  printGoals(results);
}

void main();
