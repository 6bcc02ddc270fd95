import { readFile } from "node:fs/promises";
import { setTimeout as delay } from "node:timers/promises";
import type { Template, Vm, VmDriver } from "../provider/host/vm/driver";
import { echo, identity, runInGuest, withPythonMachines } from "./pythonTemplate.ts";
import { createReport, type Report, type Result } from "./report.ts";

export interface DensityBenchOptions {
  /** Machines that are kept at once; default 50. */
  clones?: number;
}

const sizesMiB = [256, 512];
/** Long enough for every timer of a guest that is not really frozen. */
const idleMs = 5_000;

/**
 * What clones cost that wait for work: 50 of one template, paused when they were ready, and once more after each has
 * run a program. Memory is PSS, the share of the whole machine's that each answers for; processor time is what they
 * used while nothing happened.
 */
export async function benchDensity({ clones = 50 }: DensityBenchOptions = {}): Promise<Result[]> {
  return withPythonMachines(async ({ driver, template }) => {
    const memory = createReport({ title: `${clones} paused clones, memory (PSS) of each`, unit: "MiB" });
    const processor = createReport({
      title: `${clones} paused clones, processor time of each per second`,
      unit: "ms/s",
    });
    for (const size of sizesMiB) {
      const vms = await cloneMany(driver, await template(size), clones);
      await measure(memory, processor, `${size} MiB, idle`, vms);
      for (const vm of vms) {
        await vm.resume();
        await runInGuest(vm.agent, echo);
        await vm.pause();
      }
      await measure(memory, processor, `${size} MiB, idle after a program`, vms);
      await Promise.all(vms.map((vm) => vm.destroy()));
    }
    return [...memory.finish(), ...processor.finish()];
  });
}

async function cloneMany(driver: VmDriver, template: Template, count: number): Promise<Vm[]> {
  const vms: Vm[] = [];
  while (vms.length < count) {
    const vm = await driver.clone(template, { vmId: `density-${template.spec.memoryMiB}-${vms.length}` });
    await vm.agent.refresh(identity());
    await vm.pause();
    void vm.exited.then(({ reason }) => {
      if (reason !== "destroyed") process.stderr.write(`${vm.id} is lost: ${reason}\n`);
    });
    vms.push(vm);
  }
  return vms;
}

async function measure(memory: Report, processor: Report, name: string, vms: Vm[]): Promise<void> {
  const before = await Promise.all(vms.map((vm) => processorMs(vm.pid)));
  await delay(idleMs);
  for (const [index, vm] of vms.entries()) {
    processor.add(`${name}: processor`, ((await processorMs(vm.pid)) - (before[index] ?? 0)) / (idleMs / 1000));
    memory.add(name, await pssMiB(vm.pid));
  }
}

async function pssMiB(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1]) / 1024;
}

/** User and system time so far; fields 14 and 15 of /proc/PID/stat, hundredths of a second on every Linux. */
async function processorMs(pid: number): Promise<number> {
  const stat = await readFile(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}
