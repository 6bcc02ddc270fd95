import { echo, runInGuest, withPythonMachines } from "./pythonTemplate.ts";
import { createReport, type Result } from "./report.ts";

export interface BurstBenchOptions {
  rounds?: number;
  /** Machines that are asked for at the same moment; default 20. */
  clones?: number;
}

/**
 * Many clones asked for at the same moment. Work is bounded by the processors, so the question is not when the last is
 * ready but whether the first has to wait for the last.
 */
export async function benchBurst({ rounds = 5, clones = 20 }: BurstBenchOptions = {}): Promise<Result[]> {
  return withPythonMachines(async ({ driver, template }) => {
    const frozen = await template();
    const last = `last of ${clones} -> echo`;
    const report = createReport({ title: `${clones} clones at once, request to first output`, baseline: last });
    for (let round = 0; round < rounds; round++) {
      const started = performance.now();
      const ready = Array.from({ length: clones }, async (_, index) => {
        const vm = await driver.clone(frozen, { vmId: `burst-${round}-${index}` });
        await runInGuest(vm.agent, echo);
        return { vm, ms: performance.now() - started };
      });
      const all = await Promise.all(ready);
      const times = all.map(({ ms }) => ms).sort((a, b) => a - b);
      report.add(`first of ${clones} -> echo`, times[0] ?? Number.NaN);
      report.add(`middle of ${clones} -> echo`, times[clones >> 1] ?? Number.NaN);
      report.add(last, times.at(-1) ?? Number.NaN);
      await Promise.all(all.map(({ vm }) => vm.destroy()));
    }
    return report.finish();
  });
}
