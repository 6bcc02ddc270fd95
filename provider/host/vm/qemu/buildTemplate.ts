import { rename } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { SandboxesError } from "../../../client/errors";
import type { TemplateSpec } from "../driver";
import { killAndWait } from "../processes";
import { exercise } from "../warmUp";
import { bootGuest, type LaunchContext } from "./launch";
import { saveState } from "./migration";
import { removeVmDirectory } from "./qemuProcess";
import type { StoredTemplate, TemplateStore } from "./templateStore";

/** For what follows the boot, beside the caller's own commands, which the guest gives two minutes each. */
const freezeLimitMs = 120_000;
const commandLimitMs = 130_000;
/** The guest ends what it ran for the warm-up and notices that its host is away. */
const settleMs = 100;

/** Boots, warms and freezes a VM, and publishes it under the key; leaves nothing behind when it fails. */
export async function buildTemplate(
  context: LaunchContext,
  store: TemplateStore,
  key: string,
  spec: TemplateSpec,
  options: { signal: AbortSignal; report(message: string): void },
): Promise<StoredTemplate> {
  const { signal, report } = options;
  const work = store.workDirectory();
  try {
    report("booting the template");
    const started = performance.now();
    const { qemu, agent } = await bootGuest(context, work, spec, { sharedMemory: true, signal });
    const bootMs = Math.round(performance.now() - started);
    const limitMs = freezeLimitMs + (spec.warmUp?.length ?? 0) * commandLimitMs;
    const limit = AbortSignal.timeout(limitMs);
    const either = AbortSignal.any([signal, limit]);
    // Whatever is waited for below ends when QEMU does.
    const kill = (): void => void killAndWait(qemu.identity).catch(() => undefined);
    either.addEventListener("abort", kill, { once: true });
    try {
      report(`booted in ${bootMs} ms, warming up`);
      await exercise(agent, spec);
      agent.close();
      await delay(settleMs, undefined, { signal: either });
      report("freezing the template");
      await saveState(qemu, join(work, "state.new"));
    } catch (error) {
      signal.throwIfAborted();
      if (limit.aborted) throw new SandboxesError("Timeout", `the template was not ready within ${limitMs} ms`);
      throw error;
    } finally {
      either.removeEventListener("abort", kill);
      agent.close();
      qemu.qmp.close();
      await killAndWait(qemu.identity);
    }
    signal.throwIfAborted();
    await rename(join(work, "state.new"), join(work, "state"));
    const createdAt = new Date().toISOString();
    return await store.publish(work, { key, spec, createdAt, bootMs, tscKhz: context.environment.tscKhz });
  } finally {
    await removeVmDirectory(work);
  }
}
