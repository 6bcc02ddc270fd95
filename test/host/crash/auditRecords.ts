import { setTimeout as sleep } from "node:timers/promises";
import type { GroupApi } from "../../../provider/client/sandboxApi";
import type { SandboxView } from "../../../provider/client/wire/sandboxes";
import type { KnownSandbox, Ledger } from "./ledger";
import { keyLabel } from "./workload";

/**
 * Compares the host's records with what it acknowledged, and runs a program in every sandbox. Takes over sandboxes
 * whose creation's answer was lost, and brings the ledger up to date where two possibilities were left.
 */
export async function auditRecords(
  group: GroupApi,
  ledger: Ledger,
  killedMachines: Set<string>,
): Promise<{ findings: string[]; records: SandboxView[] }> {
  const records = await group.sandboxes.list();
  const findings: string[] = [];
  const byId = new Map(records.map((record) => [record.id, record]));
  for (const record of records) {
    const key = record.labels[keyLabel] ?? "";
    if (!ledger.sentKeys.has(key)) findings.push(`${record.id} was never asked for`);
    if (!ledger.sandboxes.has(record.id)) ledger.add(record.id, key, stateOf(record), record.labels);
  }
  for (const sandbox of ledger.sandboxes.values()) {
    const record = byId.get(sandbox.id);
    if (record && sandbox.fate === "gone") findings.push(`${sandbox.id} was deleted and is ${record.state}`);
    if (!record && sandbox.fate === "lives") findings.push(`${sandbox.id} is lost`);
    sandbox.fate = record ? "lives" : "gone";
    if (record) findings.push(...(await auditSandbox(group, sandbox, record, killedMachines)));
  }
  findings.push(...(await auditImages(group, ledger)));
  return { findings, records: await group.sandboxes.list() };
}

async function auditSandbox(
  group: GroupApi,
  sandbox: KnownSandbox,
  record: SandboxView,
  killedMachines: Set<string>,
): Promise<string[]> {
  const findings: string[] = [];
  const { id, state } = record;
  if (!sandbox.labels.some((labels) => sameLabels(labels, record.labels))) {
    findings.push(`${id} has the labels ${JSON.stringify(record.labels)} of ${JSON.stringify(sandbox.labels)}`);
  }
  sandbox.labels = [record.labels];
  if (state === "Failed") {
    const reason = record.stateDetails?.failedReason;
    if (typeof reason !== "string" || reason === "") findings.push(`${id} failed without a reason`);
    if (!killedMachines.has(id)) findings.push(`${id} failed though nobody killed it: ${reason}`);
    return findings;
  }
  if (sandbox.isKilled) findings.push(`${id} is ${state} though its machine was killed`);
  if (!sandbox.states.has(stateOf(record))) findings.push(`${id} is ${state}, not ${[...sandbox.states]}`);
  sandbox.states = new Set(["Running"]);
  try {
    if (state === "Stopped") await group.sandboxes.resume(id);
    const command = "cat /tmp/token; echo alive";
    const { stdout } = await group.sandboxes.execShell(id, { command, timeoutMs: 20_000 });
    const isWhole = stdout === `${sandbox.token}\nalive\n` || (!sandbox.token && stdout.endsWith("alive\n"));
    if (!isWhole) findings.push(`${id} printed ${JSON.stringify(stdout)}, not ${JSON.stringify(sandbox.token)}`);
  } catch (error) {
    // What the host makes of it tells more.
    await sleep(3_000);
    const later = await group.sandboxes.get(id);
    findings.push(
      `${id} is ${state} and does not answer: ${error}; then ${later.state}: ${later.stateDetails?.failedReason}`,
    );
  }
  return findings;
}

async function auditImages(group: GroupApi, ledger: Ledger): Promise<string[]> {
  const findings: string[] = [];
  const images = await group.diskImages.list();
  const byId = new Map(images.map((image) => [image.id, image]));
  for (const { id, image, status } of images) {
    const base = image.base ?? "";
    if (!ledger.sentSources.has(base)) findings.push(`image ${id} was never asked for`);
    const isBroken = base.includes("broken");
    if (!ledger.images.has(id)) ledger.images.set(id, { id, fate: "lives" });
    const { state, message } = status;
    if (state !== (isBroken ? "Failed" : "Ready")) findings.push(`image ${id} of ${base} is ${state}: ${message}`);
    if (state === "Failed" && !message) findings.push(`image ${id} failed without a reason`);
  }
  for (const image of ledger.images.values()) {
    const there = byId.has(image.id);
    if (there && image.fate === "gone") findings.push(`image ${image.id} was deleted and is there`);
    if (!there && image.fate === "lives") findings.push(`image ${image.id} is lost`);
    image.fate = there ? "lives" : "gone";
  }
  return findings;
}

function stateOf({ state }: SandboxView): "Running" | "Stopped" {
  return state === "Stopped" ? "Stopped" : "Running";
}

function sameLabels(one: Record<string, string>, other: Record<string, string>): boolean {
  const text = (labels: Record<string, string>) => JSON.stringify(Object.entries(labels).sort());
  return text(one) === text(other);
}
