import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as Embedded from "../provider/client/embeddedHost";
import type * as Runtime from "../provider/runtime";
import type { Group } from "../provider/runtime";
import { built } from "./built.ts";
import { echo, identity, type PythonMachines, runInGuest, withPythonMachines } from "./pythonTemplate.ts";
import { createReport, type Report, type Result } from "./report.ts";

export interface EndToEndBenchOptions {
  /** Default 40; every eighth has a cold boot. */
  rounds?: number;
}

const image = "python";
const whole = "end to end: createSandbox -> exec";

/**
 * The second sandbox of an image that was used before, from the call in an application to the output of its first
 * program, through runtime, HTTP, host and driver; beside it, in turns, the same by the driver alone and a cold boot.
 */
export async function benchEndToEnd({ rounds = 40 }: EndToEndBenchOptions = {}): Promise<Result[]> {
  return withHost((group) =>
    withPythonMachines(async (machines) => {
      const report = createReport({ title: "A second sandbox of an image, request to first output", baseline: whole });
      await machines.template();
      for (let round = -1; round < rounds; round++) {
        // The first builds the host's template, which is another story.
        const target = round < 0 ? createReport({ title: "" }) : report;
        await throughAll(group, target);
        await driverAlone(machines, target, round);
        if (round >= 0 && round % 8 === 0) await coldBoot(machines, target, round);
      }
      return report.finish();
    }),
  );
}

async function throughAll(group: Group, report: Report): Promise<void> {
  const started = performance.now();
  const sandbox = await report.time("of it createSandbox", () => group.createSandbox({ image }));
  await report.time("of it the first exec", () => sandbox.exec(echo, { check: true }));
  report.add(whole, performance.now() - started);
  await report.time("another exec", () => sandbox.exec(echo, { check: true }));
  await report.time("delete", () => sandbox.delete());
}

async function driverAlone({ driver, template }: PythonMachines, report: Report, round: number): Promise<void> {
  const frozen = await template();
  const started = performance.now();
  const vm = await report.time("driver: clone", () => driver.clone(frozen, { vmId: `clone-${round + 1}` }));
  await report.time("driver: refresh", () => vm.agent.refresh(identity()));
  await report.time("driver: the first exec", () => runInGuest(vm.agent, echo));
  report.add("driver: clone -> exec", performance.now() - started);
  await vm.destroy();
}

async function coldBoot({ driver, spec }: PythonMachines, report: Report, round: number): Promise<void> {
  const vm = await report.time("driver: cold boot -> exec", async () => {
    const booted = await driver.boot(spec, { vmId: `cold-${round}` });
    await runInGuest(booted.agent, echo);
    return booted;
  });
  await vm.destroy();
}

/** An embedded host of its own for the time of `work`. */
async function withHost<T>(work: (group: Group) => Promise<T>): Promise<T> {
  const { ensureEmbeddedHost, stopEmbeddedHost } = built<typeof Embedded>("client/embeddedHost");
  const { connect } = built<typeof Runtime>("runtime");
  const dataDir = await mkdtemp(join(tmpdir(), "sandboxes-bench-"));
  try {
    const { endpoint } = await ensureEmbeddedHost({ dataDir });
    const group = await connect({ endpoint });
    const result = await work(group);
    await group.close();
    return result;
  } finally {
    await stopEmbeddedHost({ dataDir });
    await rm(dataDir, { recursive: true });
  }
}
