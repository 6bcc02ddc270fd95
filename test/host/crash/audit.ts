import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { SandboxView } from "../../../provider/client/wire/sandboxes";
import type { CrashedHost } from "./crashedHost";

/** All that a data directory may hold. */
const dataEntries = /^(host\.log(\.1)?|host\.sock|state\.db(-wal)?|vms|templates|images|initramfs)$/;
const machineFiles = /^(agent\.sock|qmp\.sock|qemu\.log|vm\.json|machine\.json|disk\.base|disk\.qcow2)$/;
const templateFiles = /^(disk )?meta\.json ram state$/;

/** What is there that no record stands for, looked at from outside; empty when all is well. */
export function auditLeftovers(host: CrashedHost, records: SandboxView[], temporary: string): string[] {
  const alive = records.filter(({ state }) => state !== "Failed").map(({ id }) => id);
  return [
    ...auditProcesses(host, alive),
    ...auditFiles(host.dataDir, alive),
    ...auditMounts(host.dataDir),
    ...list(temporary).map((name) => `temporary file ${name}`),
  ];
}

function auditProcesses(host: CrashedHost, alive: string[]): string[] {
  const all = host.processes();
  const findings: string[] = [];
  const daemons = all.filter(({ kind }) => kind === "daemon");
  if (daemons.length !== 1) findings.push(`${daemons.length} daemons`);
  for (const { kind, pid, parent, machine, command } of all) {
    const isOrphan = kind === "spawner" && parent !== daemons[0]?.pid;
    const isStray = kind === "machine" && !alive.includes(machine ?? "");
    if (isOrphan || isStray || kind === "other") findings.push(`process ${pid} (of ${parent}): ${command}`);
  }
  const machines = all.flatMap(({ machine }) => machine ?? []);
  if (new Set(machines).size !== machines.length) findings.push(`several processes of one machine: ${machines}`);
  return [...findings, ...alive.filter((id) => !machines.includes(id)).map((id) => `no process of sandbox ${id}`)];
}

function auditFiles(dataDir: string, alive: string[]): string[] {
  const findings = list(dataDir).filter((name) => !dataEntries.test(name));
  for (const id of list(join(dataDir, "vms"))) {
    const files = list(join(dataDir, "vms", id));
    if (!alive.includes(id)) findings.push(`vms/${id} (${files})`);
    findings.push(...files.filter((name) => !machineFiles.test(name)).map((name) => `vms/${id}/${name}`));
  }
  for (const key of list(join(dataDir, "templates"))) {
    const files = list(join(dataDir, "templates", key)).join(" ");
    if (!templateFiles.test(files)) findings.push(`templates/${key} (${files})`);
  }
  for (const name of list(join(dataDir, "images"))) {
    const files = list(join(dataDir, "images", name)).join(" ");
    const isWhole = files === "image.json rootfs.sqfs";
    if (!isWhole && !(name.startsWith(".") && files === "")) findings.push(`images/${name} (${files})`);
  }
  for (const name of list(join(dataDir, "initramfs"))) if (name.startsWith(".")) findings.push(`initramfs/${name}`);
  return findings;
}

function auditMounts(dataDir: string): string[] {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  return mounts.filter((line) => line.includes(dataDir)).map((line) => `mount ${line}`);
}

function list(folder: string): string[] {
  if (!existsSync(folder) || !lstatSync(folder).isDirectory()) return [];
  return readdirSync(folder).sort();
}
