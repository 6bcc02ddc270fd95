import { createHash } from "node:crypto";
import { existsSync, lstatSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import type { GroupApi } from "../../../provider/client/sandboxApi";
import type { SandboxView } from "../../../provider/client/wire/sandboxes";
import { auditVolumeFiles } from "./auditVolumeFiles";
import type { CrashedHost } from "./crashedHost";
import { secretMark } from "./groupActions";
import { listeningPorts } from "./hostProcesses";

/** All that a data directory may hold. */
const dataEntries =
  /^(host\.log(\.1)?|host\.sock|state\.db(-wal)?|secrets\.key|vms|templates|images|initramfs|snapshots|volumes|commits)$/;
const machineFiles = /^(agent\.sock|qmp\.sock|qemu\.log|vm\.json|machine\.json|disk\.base|disk\.qcow2)$/;
/** Of one that is on disk. */
const savedFiles = /^(machine\.json|saved|disk\.base|disk\.qcow2)$/;
const templateFiles = /^(disk )?meta\.json ram state$/;
const snapshotFiles = /^(files )?meta\.json ram state$/;

/** What is there that no record stands for, looked at from outside; empty when all is well. */
export async function auditLeftovers(host: CrashedHost, group: GroupApi, temporary: string): Promise<string[]> {
  const records = await group.sandboxes.list();
  const snapshots = (await group.snapshots.list()).map(({ id }) => id);
  return [
    ...auditProcesses(host, records),
    ...auditPorts(host, records),
    ...auditFiles(host.dataDir, records),
    ...auditSnapshotFiles(host.dataDir, snapshots),
    ...auditVolumeFiles(join(host.dataDir, "volumes")),
    ...auditControlGroups(host, records),
    ...auditSecrecy(host.dataDir),
    ...auditMounts(host.dataDir),
    ...list(temporary).map((name) => `temporary file ${name}`),
  ];
}

function inState(records: SandboxView[], ...states: string[]): string[] {
  return records.filter(({ state }) => states.includes(state)).map(({ id }) => id);
}

function auditProcesses(host: CrashedHost, records: SandboxView[]): string[] {
  const alive = inState(records, "Running");
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

/** The daemon listens on the ports that its sandboxes have, and on no others. */
function auditPorts(host: CrashedHost, records: SandboxView[]): string[] {
  const declared = records.flatMap(({ ports }) => ports ?? []).map(({ url }) => Number(new URL(url ?? "").port));
  const daemons = host.processes().filter(({ kind }) => kind === "daemon");
  const open = daemons.flatMap(({ pid }) => listeningPorts(pid));
  const text = (ports: number[]) => ports.sort((a, b) => a - b).join(" ");
  return text(open) === text(declared) ? [] : [`listens on ${text(open)}, not ${text(declared)}`];
}

function auditFiles(dataDir: string, records: SandboxView[]): string[] {
  const findings = list(dataDir).filter((name) => !dataEntries.test(name));
  const stopped = inState(records, "Stopped");
  const there = [...stopped, ...inState(records, "Running")];
  for (const id of list(join(dataDir, "vms"))) {
    const files = list(join(dataDir, "vms", id));
    if (!there.includes(id)) findings.push(`vms/${id} (${files})`);
    const known = stopped.includes(id) ? savedFiles : machineFiles;
    findings.push(...files.filter((name) => !known.test(name)).map((name) => `vms/${id}/${name}`));
    const saved = list(join(dataDir, "vms", id, "saved")).join(" ");
    if (stopped.includes(id) && saved !== "meta.json ram state") findings.push(`vms/${id}/saved (${saved})`);
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
  return [...findings, ...list(join(dataDir, "commits")).map((name) => `commits/${name}`)];
}

function auditSnapshotFiles(dataDir: string, snapshots: string[]): string[] {
  const names = list(join(dataDir, "snapshots"));
  const findings = snapshots.filter((id) => !names.includes(id)).map((id) => `no files of snapshot ${id}`);
  for (const name of names) {
    const files = list(join(dataDir, "snapshots", name)).join(" ");
    if (!snapshots.includes(name) || !snapshotFiles.test(files)) findings.push(`snapshots/${name} (${files})`);
  }
  return findings;
}

/** A group for each machine that may use less than its processors, with its process in it, and no others. */
function auditControlGroups(host: CrashedHost, records: SandboxView[]): string[] {
  if (!host.limitsProcessors) return [];
  const running = records.filter(({ state }) => state === "Running");
  const limited = running.filter(({ resources }) => resources?.cpu !== "1000m").map(({ id }) => id);
  const groups = controlGroups(host.dataDir);
  const findings = [...groups].filter(([id]) => !limited.includes(id)).map(([id]) => `control group of ${id}`);
  for (const id of limited) {
    const pid = host.processes().find(({ machine }) => machine === id)?.pid;
    if (!groups.get(id)?.includes(String(pid))) findings.push(`sandbox ${id} runs without its limit`);
  }
  return findings;
}

/** Processes of the host's control groups, by machine. */
export function controlGroups(dataDir: string): Map<string, string[]> {
  const prefix = `${createHash("sha256").update(dataDir).digest("hex").slice(0, 12)}-`;
  const mounts = readFileSync("/proc/self/mounts", "utf8").split("\n");
  const roots = mounts.map((line) => line.split(" ")).filter(([, , type]) => type?.startsWith("cgroup"));
  const found = new Map<string, string[]>();
  for (const [, root] of roots) {
    const folder = join(root ?? "", "pulumi-sandboxes");
    for (const name of list(folder).filter((each) => each.startsWith(prefix))) {
      found.set(name.slice(prefix.length), readFileSync(join(folder, name, "cgroup.procs"), "utf8").split("\n"));
    }
  }
  return found;
}

/** Values of secrets are nowhere in the clear. */
function auditSecrecy(dataDir: string): string[] {
  const names = list(dataDir).filter((name) => /^(state\.db|host\.log)/.test(name));
  const open = names.filter((name) => readFileSync(join(dataDir, name)).includes(secretMark));
  return open.map((name) => `${name} holds a secret`);
}

function auditMounts(dataDir: string): string[] {
  const mounts = readFileSync("/proc/self/mountinfo", "utf8").split("\n");
  return mounts.filter((line) => line.includes(dataDir)).map((line) => `mount ${line}`);
}

function list(folder: string): string[] {
  if (!existsSync(folder) || !lstatSync(folder).isDirectory()) return [];
  return readdirSync(folder).sort();
}
