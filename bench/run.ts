// Runs benchmarks: `node bench/run.ts [vm|endToEnd|burst|density|suspend|exec|images|azure…] [--rounds N]`, all of them unless
// some are named. Prints tables and what became of the goals; results are in bench/results/latest.jsonl.
import { spawnSync } from "node:child_process";
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
import { type Result, readResults, resultsFile } from "./report.ts";
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
/** These put processes into control groups, which most kernels refuse to real-time ones. */
const atNormalPriority = new Set(["peers"]);

async function main(): Promise<void> {
  const options = { rounds: { type: "string" }, part: { type: "boolean" } } as const;
  const { values, positionals } = parseArgs({ allowPositionals: true, options });
  const names = positionals.length > 0 ? positionals : Object.keys(benches);
  const unknown = names.find((name) => !benches[name]);
  if (unknown) throw new Error(`no benchmark "${unknown}"; there are ${Object.keys(benches).join(", ")}`);
  const rounds = values.rounds === undefined ? undefined : Number(values.rounds);
  if (values.part) for (const name of names) await benches[name]?.({ rounds });
  else runAll(names, rounds === undefined ? [] : ["--rounds", `${rounds}`]);
}

/** Each in a process of its own, so that none is slowed by what another has left, or lost with it. */
function runAll(names: string[], options: string[]): void {
  rmSync(resultsFile(), { force: true });
  const first = spawnSync("chrt", ["--rr", "1", "true"]).status === 0 ? ["chrt", "--rr", "1"] : [];
  const load = loadavg()[0] ?? 0;
  if (load > 0.5) process.stdout.write(`The machine is busy (load ${load.toFixed(1)}): read ratios, not times.\n`);
  if (first.length > 0)
    process.stdout.write("Measured before all other work (real-time priority), but for the peers.\n");
  for (const name of names) {
    const node = [process.execPath, ...process.execArgv, process.argv[1] ?? "", name, "--part", ...options];
    const [program = "", ...args] = atNormalPriority.has(name) ? node : [...first, ...node];
    const { status, signal } = spawnSync(program, args, { stdio: "inherit" });
    if (status === 0) continue;
    process.stdout.write(`\n"${name}" ended with ${signal ?? status}: it has no results\n`);
    process.exitCode = 1;
  }
  printGoals(readResults());
}

void main();
