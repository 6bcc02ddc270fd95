import type { HostStatusView } from "../../client/wire/status";
import type { GroupStore } from "../store/groupStore";
import type { VmDriver } from "../vm/driver";
import type { Admission } from "./admission";
import type { DiskImageService } from "./diskImages";
import type { ExecService } from "./exec";
import type { SandboxService } from "./sandboxes";

export interface StatusParts {
  version: string;
  region: string;
  groups: GroupStore;
  diskImages: DiskImageService;
  sandboxes: SandboxService;
  exec: ExecService;
  admission: Admission;
  driver: VmDriver;
}

/** What the host is and holds right now. */
export class StatusService {
  readonly #parts: StatusParts;
  readonly #startedAt = new Date().toISOString();

  constructor(parts: StatusParts) {
    this.#parts = parts;
  }

  async read(): Promise<HostStatusView & Record<string, unknown>> {
    const { version, region, groups, diskImages, sandboxes, admission, driver } = this.#parts;
    const { accelerator, reason, isolation } = driver.capabilities;
    const states = sandboxes.countByState();
    const total = Object.values(states).reduce((sum, each) => sum + each, 0);
    return {
      version,
      region,
      accelerator,
      reason,
      isolation,
      processId: process.pid,
      startedAt: this.#startedAt,
      counts: {
        groups: groups.count(),
        diskImages: diskImages.count(),
        templates: (await driver.listTemplates()).length,
        sandboxes: total,
        running: states.Running ?? 0,
        stopped: states.Stopped ?? 0,
        failed: states.Failed ?? 0,
      },
      queue: admission.queue,
      memory: { budgetMiB: admission.budgetMiB, reservedMiB: admission.reservedMiB },
    };
  }

  /** The same in OpenMetrics text. */
  metrics(): string {
    const { sandboxes, admission, exec, driver } = this.#parts;
    const { accelerator, isolation } = driver.capabilities;
    const { running, waiting } = admission.queue;
    const lines = [
      "# TYPE sandboxes_host info",
      `sandboxes_host_info{version="${this.#parts.version}",accelerator="${accelerator}",isolation="${isolation}"} 1`,
      "# TYPE sandboxes_sandboxes gauge",
      ...Object.entries(sandboxes.countByState()).map(([state, n]) => `sandboxes_sandboxes{state="${state}"} ${n}`),
      "# TYPE sandboxes_execs counter",
      `sandboxes_execs_total ${exec.started}`,
      "# TYPE sandboxes_starts gauge",
      `sandboxes_starts{state="running"} ${running}`,
      `sandboxes_starts{state="waiting"} ${waiting}`,
      "# TYPE sandboxes_memory_reserved_bytes gauge",
      "# UNIT sandboxes_memory_reserved_bytes bytes",
      `sandboxes_memory_reserved_bytes ${admission.reservedMiB * 2 ** 20}`,
      "# TYPE sandboxes_memory_budget_bytes gauge",
      "# UNIT sandboxes_memory_budget_bytes bytes",
      `sandboxes_memory_budget_bytes ${admission.budgetMiB * 2 ** 20}`,
    ];
    return `${lines.join("\n")}\n# EOF\n`;
  }
}
