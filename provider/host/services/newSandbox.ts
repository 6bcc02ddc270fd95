import { randomUUID } from "node:crypto";
import { SandboxesError } from "../../client/errors";
import { cpuMillis, sizeMiB } from "../../client/wire/quantities";
import type { CreateSandboxContent } from "../../client/wire/sandboxes";
import type { SandboxRecord } from "../store/sandboxStore";
import type { VmCapabilities } from "../vm/driver";
import { refuseAzureOnly } from "./azureOnly";
import { mergedPolicy } from "./lifecyclePlan";
import { timestamp } from "./timestamp";

const defaults = { cpu: "1000m", memory: "512Mi", disk: "10240Mi" };
/** What QEMU's machine and a guest kernel can still do with. */
const limits = { maxCpuMillis: 16_000, minMemoryMiB: 64, minDiskMiB: 16, maxDiskMiB: 2 ** 20 };

/** Nothing idles out and nothing is deleted by time on this host unless it is asked for. */
export const defaultLifecycle = {
  autoSuspendPolicy: { enabled: false, interval: 300, mode: "Memory" },
  autoDeletePolicy: { enabled: false },
};

/** What a request may say beyond the common wire type. */
export type NewSandbox = CreateSandboxContent & Record<string, unknown>;

/** Turns a request into the record of a sandbox about to be made; throws for what this host cannot give. */
export function newSandbox(groupKey: string, body: NewSandbox, capabilities: VmCapabilities): SandboxRecord {
  refuseAzureOnly(body);
  return {
    id: randomUUID(),
    groupKey,
    labels: body.labels ?? {},
    environment: body.environment ?? {},
    entrypoint: body.entrypoint,
    cmd: body.cmd,
    sourcesRef: { diskImage: withVisibility(body.sourcesRef?.diskImage ?? {}) },
    resources: checkedResources(body.resources ?? {}),
    lifecycle: mergedPolicy(defaultLifecycle, body.lifecycle ?? {}),
    isolation: capabilities.isolation,
    createdAt: timestamp(),
    state: "Creating",
  };
}

/** Machine size: a guest has whole processors, its share is not enforced. */
export function machineSize(record: SandboxRecord): { vcpus: number; memoryMiB: number; diskMiB: number } {
  const { cpu, memory, disk } = record.resources;
  return { vcpus: Math.ceil(cpuMillis(cpu) / 1000), memoryMiB: sizeMiB(memory), diskMiB: sizeMiB(disk) };
}

function checkedResources(asked: { cpu?: string; memory?: string; disk?: string | null }): SandboxRecord["resources"] {
  const cpu = asked.cpu ?? defaults.cpu;
  const memory = asked.memory ?? defaults.memory;
  const disk = asked.disk ?? defaults.disk;
  if (cpuMillis(cpu) > limits.maxCpuMillis) throw badResource("cpu", cpu, `at most ${limits.maxCpuMillis}m`);
  if (sizeMiB(memory) < limits.minMemoryMiB) throw badResource("memory", memory, `at least ${limits.minMemoryMiB}Mi`);
  if (sizeMiB(disk) < limits.minDiskMiB || sizeMiB(disk) > limits.maxDiskMiB) {
    throw badResource("disk", disk, `${limits.minDiskMiB}Mi to ${limits.maxDiskMiB}Mi`);
  }
  return { cpu, memory, disk };
}

function badResource(name: string, value: string, wanted: string): SandboxesError {
  return new SandboxesError("Invalid", `Cannot give a sandbox ${name} "${value}": ${wanted} is possible`, {
    field: `resources.${name}`,
  });
}

/** Azure answers `isPublic` always. */
function withVisibility(source: { id?: string | null; name?: string | null }): Record<string, unknown> {
  return source.name ? { name: source.name, isPublic: true } : { id: source.id, isPublic: false };
}
