import { readFile } from "node:fs/promises";
import { echo, identity, runInGuest, withPythonMachines } from "./pythonTemplate.ts";
import { createReport, type Result } from "./report.ts";

export interface SuspendBenchOptions {
  /** Of each amount of memory written. Default 10. */
  rounds?: number;
}

const dirtiedMiB = [0, 16, 64];

/**
 * A stop and what brings back from it, by how much memory the sandbox has written since its template: until the process is
 * gone and all of it synced to disk, and from the wish for it to the complete output of a first program. Beside it
 * clone and first program. Sizes are those on disk.
 */
export async function benchSuspend({ rounds = 10 }: SuspendBenchOptions = {}): Promise<Result[]> {
  return withPythonMachines(async ({ driver, template: templateOf }) => {
    const template = await templateOf();
    const fresh = "clone -> echo";
    const times = createReport({ title: "Stop to disk and back", baseline: fresh });
    const sizes = createReport({ title: "What a stopped machine takes on disk", unit: "MiB" });
    const memory = createReport({ title: "Memory (PSS) of a machine", unit: "MiB" });
    for (let round = 0; round < rounds; round++) {
      for (const dirtied of dirtiedMiB) {
        const id = `suspend-${round}-${dirtied}`;
        const vm = await times.time(fresh, async () => {
          const made = await driver.clone(template, { vmId: id });
          await runInGuest(made.agent, echo);
          return made;
        });
        if (dirtied > 0) await runInGuest(vm.agent, dirty(dirtied));
        memory.add(`${dirtied} MiB written: before`, await pssMiB(vm.pid));
        const saved = await times.time(`${dirtied} MiB written: stop`, () => driver.suspend(id));
        sizes.add(`${dirtied} MiB written`, saved.sizeBytes / 2 ** 20);
        const awake = await times.time(`${dirtied} MiB written: resume -> echo`, async () => {
          const woken = await driver.wake(id);
          await woken.agent.refresh(identity());
          await runInGuest(woken.agent, echo);
          return woken;
        });
        memory.add(`${dirtied} MiB written: after`, await pssMiB(awake.pid));
        await awake.destroy();
      }
    }
    return [...times.finish(), ...sizes.finish(), ...memory.finish()];
  });
}

/** Bytes that cannot be shared or left out, in memory and not on the disk. */
function dirty(mib: number): string[] {
  return ["/bin/sh", "-c", `head -c ${mib * 2 ** 20} /dev/urandom > /dev/shm/written && echo done`];
}

async function pssMiB(pid: number): Promise<number> {
  const text = await readFile(`/proc/${pid}/smaps_rollup`, "utf8");
  return Number(/^Pss:\s+(\d+) kB/m.exec(text)?.[1]) / 1024;
}
