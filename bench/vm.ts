import type { Vm } from "../provider/host/vm/driver";
import { echo, type PythonMachines, python, runInGuest, withPythonMachines } from "./pythonTemplate.ts";
import { createReport, type Report, type Result } from "./report.ts";

export interface VmBenchOptions {
  /** Rounds of everything; every fourth has a cold boot, which takes as long as all the rest. Default 20. */
  rounds?: number;
}

const cold = "cold boot -> echo";

/**
 * Cold boot, clone and paused clone beside each other, from the request to the complete output of the first program,
 * of the catalogue's python image with the default size of a sandbox. What is compared takes turns in one run: any
 * absolute figure is a matter of what else the machine does.
 */
export async function benchVm({ rounds = 20 }: VmBenchOptions = {}): Promise<Result[]> {
  return withPythonMachines(async (machines) => {
    const { accelerator } = machines.driver.capabilities;
    const report = createReport({
      title: `Virtual machines (${accelerator}), request to first output`,
      baseline: cold,
    });
    for (let round = 0; round < rounds; round++) await runRound(machines, round, report);
    return report.finish();
  });
}

async function runRound({ driver, template, spec }: PythonMachines, round: number, report: Report): Promise<void> {
  const warmed = await template();
  let count = 0;
  const vmId = (): string => `bench-${round}-${count++}`;
  const clone = (): Promise<Vm> => driver.clone(warmed, { vmId: vmId() });
  const frozen = (): Promise<Vm> => driver.clone(warmed, { vmId: vmId(), paused: true });
  if (round % 4 === 0) await first(report, cold, () => driver.boot(spec, { vmId: vmId() }), echo);
  await first(report, "clone -> echo", clone, echo);
  await first(report, "clone -> python", clone, python);
  await first(report, "clone -> agent answers", clone);
  await claimed(report, "paused clone -> echo", await frozen(), echo);
  await claimed(report, "paused clone -> python", await frozen(), python);
  await claimed(report, "paused clone -> agent answers", await frozen());
  await running(report, await clone());
}

/** From the request for a VM to the output. */
async function first(report: Report, name: string, make: () => Promise<Vm>, argv?: string[]): Promise<void> {
  const vm = await report.time(name, async () => {
    const made = await make();
    await (argv ? runInGuest(made.agent, argv) : made.agent.ping());
    return made;
  });
  await vm.destroy();
}

/** From the claim of a VM that waits, frozen, to the output. */
async function claimed(report: Report, name: string, vm: Vm, argv?: string[]): Promise<void> {
  await report.time(name, async () => {
    await vm.resume();
    await (argv ? runInGuest(vm.agent, argv) : vm.agent.ping());
  });
  await vm.destroy();
}

async function running(report: Report, vm: Vm): Promise<void> {
  for (const argv of [echo, python]) await runInGuest(vm.agent, argv);
  await report.time("running VM: agent answers", () => vm.agent.ping());
  await report.time("running VM: echo", () => runInGuest(vm.agent, echo));
  await report.time("running VM: python", () => runInGuest(vm.agent, python));
  await vm.destroy();
}
