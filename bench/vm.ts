import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as Images from "../provider/host/images";
import type * as Cache from "../provider/host/vm/cacheDirectory";
import type { Template, TemplateSpec, Vm, VmDriver } from "../provider/host/vm/driver";
import type { GuestAgent } from "../provider/host/vm/guestAgent";
import type * as Qemu from "../provider/host/vm/qemu";
import { built } from "./built.ts";
import { createReport, type Report, type Result } from "./report.ts";

export interface VmBenchOptions {
  /** Rounds of everything; every fourth has a cold boot, which takes as long as all the rest. Default 20. */
  rounds?: number;
}

const echo = ["/bin/echo", "hi"];
const python = ["/usr/bin/python3", "-c", "print(1)"];
const environment = { PATH: "/usr/bin:/bin", HOME: "/root" };
const cold = "cold boot -> echo";

/**
 * Cold boot, clone and paused clone beside each other, from the request to the complete output of the first program,
 * of the catalogue's python image with the default size of a sandbox. What is compared takes turns in one run: any
 * absolute figure is a matter of what else the machine does.
 */
export async function benchVm({ rounds = 20 }: VmBenchOptions = {}): Promise<Result[]> {
  const { createQemuDriver } = built<typeof Qemu>("host/vm/qemu");
  const dataDirectory = await mkdtemp(join(tmpdir(), "sandboxes-bench-"));
  const driver = await createQemuDriver({ dataDirectory });
  try {
    const spec = { ...(await pythonRootfs(dataDirectory)), vcpus: 1, memoryMiB: 512, diskMiB: 10240 };
    const template = await driver.ensureTemplate({ ...spec, warmUp: [python] });
    const { accelerator } = driver.capabilities;
    const report = createReport({
      title: `Virtual machines (${accelerator}), request to first output`,
      baseline: cold,
    });
    for (let round = 0; round < rounds; round++) await runRound(driver, template, spec, round, report);
    return report.finish();
  } finally {
    for (const id of await driver.listVms()) await driver.destroy(id);
    await driver.close();
    await rm(dataDirectory, { recursive: true });
  }
}

async function pythonRootfs(dataDir: string): Promise<Pick<TemplateSpec, "rootfsPath" | "rootfsDigest">> {
  const { createImageStore } = built<typeof Images>("host/images");
  const { cacheDirectory } = built<typeof Cache>("host/vm/cacheDirectory");
  const store = createImageStore({ dataDir, cacheDir: join(cacheDirectory(), "bench") });
  return store.import("python");
}

async function runRound(
  driver: VmDriver,
  template: Template,
  spec: TemplateSpec,
  round: number,
  report: Report,
): Promise<void> {
  let count = 0;
  const vmId = (): string => `bench-${round}-${count++}`;
  const clone = (): Promise<Vm> => driver.clone(template, { vmId: vmId() });
  const frozen = (): Promise<Vm> => driver.clone(template, { vmId: vmId(), paused: true });
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
    await (argv ? run(made.agent, argv) : made.agent.ping());
    return made;
  });
  await vm.destroy();
}

/** From the claim of a VM that waits, frozen, to the output. */
async function claimed(report: Report, name: string, vm: Vm, argv?: string[]): Promise<void> {
  await report.time(name, async () => {
    await vm.resume();
    await (argv ? run(vm.agent, argv) : vm.agent.ping());
  });
  await vm.destroy();
}

async function running(report: Report, vm: Vm): Promise<void> {
  for (const argv of [echo, python]) await run(vm.agent, argv);
  await report.time("running VM: agent answers", () => vm.agent.ping());
  await report.time("running VM: echo", () => run(vm.agent, echo));
  await report.time("running VM: python", () => run(vm.agent, python));
  await vm.destroy();
}

async function run(agent: GuestAgent, argv: string[]): Promise<void> {
  const process = await agent.exec({ argv, env: environment });
  process.stderr.resume();
  let output = "";
  for await (const chunk of process.stdout) output += chunk.toString();
  const { exitCode } = await process.exit;
  if (exitCode !== 0 || output === "") throw new Error(`${argv.join(" ")} ended with ${exitCode}, output "${output}"`);
}
