import { setTimeout as sleep } from "node:timers/promises";
import { request } from "undici";
import type { GroupApi } from "../../../provider/client/sandboxApi";
import type { SandboxView } from "../../../provider/client/wire/sandboxes";
import { auditImages, auditSnapshots } from "./auditCopies";
import { auditSecrets, auditVolumes } from "./auditGroup";
import type { GroupRest } from "./groupRest";
import { askOutside, checkScript, counter, miscounted, setUpMark } from "./guestPrograms";
import type { KnownSandbox, Ledger } from "./ledger";
import { keyLabel } from "./sandboxActions";

const sleeperLooks = 10;
/** How late a sandbox may be whose time is over. */
const endsWithinMs = 60_000;

export interface Audited {
  group: GroupApi;
  rest: GroupRest;
  ledger: Ledger;
  /** Machines that we killed: only these may have failed. */
  killedMachines: Set<string>;
}

/**
 * Compares the host's records with what it acknowledged, and runs a program in every sandbox. Takes over sandboxes
 * whose creation's answer was lost, and brings the ledger up to date where two possibilities were left.
 */
export async function auditRecords(audited: Audited): Promise<string[]> {
  const { ledger } = audited;
  const { askedAtMs, records, toldAtMs } = await listed(audited);
  const findings: string[] = [];
  const byId = new Map(records.map((record) => [record.id, record]));
  for (const record of records) {
    const key = record.labels[keyLabel] ?? "";
    if (!ledger.sentKeys.has(key)) findings.push(`${record.id} was never asked for`);
    if (ledger.sandboxes.has(record.id)) continue;
    ledger.add(record.id, key, stateOf(record), record.labels, record.createdAt ?? "");
  }
  for (const sandbox of ledger.sandboxes.values()) {
    const record = byId.get(sandbox.id);
    const isOver = ledger.isOver(sandbox, askedAtMs);
    if (record && (sandbox.fate === "gone" || isOver)) findings.push(`${sandbox.id} is gone and is ${record.state}`);
    if (!record && ledger.lives(sandbox, toldAtMs)) findings.push(`${sandbox.id} is lost`);
    sandbox.fate = record ? "lives" : "gone";
    // What may end while it is looked at tells nothing.
    if (record && (ledger.lives(sandbox) || !sandbox.endsAtMs)) {
      findings.push(...(await auditSandbox(audited, sandbox, record)));
    }
  }
  findings.push(...(await auditSnapshots(audited)), ...(await auditImages(audited)));
  findings.push(...(await auditVolumes(audited)), ...(await auditSecrets(audited)));
  return findings;
}

/** Once all is gone that was to end by itself, which on a busy machine takes a moment, or does not go. */
async function listed({ group, ledger }: Audited) {
  const deadline = Date.now() + endsWithinMs;
  for (;;) {
    const askedAtMs = Date.now();
    const records = await group.sandboxes.list();
    const toldAtMs = Date.now();
    const known = records.flatMap(({ id }) => ledger.sandboxes.get(id) ?? []);
    const isLate = known.some((sandbox) => ledger.isOver(sandbox, askedAtMs));
    if (!isLate || toldAtMs > deadline) return { askedAtMs, records, toldAtMs };
    await sleep(200);
  }
}

async function auditSandbox(audited: Audited, sandbox: KnownSandbox, record: SandboxView): Promise<string[]> {
  const { group, ledger, killedMachines } = audited;
  const findings: string[] = [];
  const { id, state } = record;
  if (!sandbox.labels.some((labels) => sameLabels(labels, record.labels))) {
    findings.push(`${id} has the labels ${JSON.stringify(record.labels)} of ${JSON.stringify(sandbox.labels)}`);
  }
  sandbox.labels = [record.labels];
  if (state === "Failed") {
    const reason = record.stateDetails?.failedReason;
    if (typeof reason !== "string" || reason === "") findings.push(`${id} failed without a reason`);
    if (!killedMachines.has(id)) {
      findings.push(`${id} (${JSON.stringify(sandbox.traits)}) failed though nobody killed it: ${reason}`);
    }
    return findings;
  }
  if (sandbox.isKilled) findings.push(`${id} is ${state} though its machine was killed`);
  if (!sandbox.states.has(stateOf(record))) findings.push(`${id} is ${state}, not ${[...sandbox.states]}`);
  try {
    const look = async () => [...(await awake(group, id)), ...(await auditPrograms(audited, sandbox))];
    const looks = sandbox.traits.sleeps ? sleeperLooks : 1;
    findings.push(...(await repeated(looks, look)));
    // One stays on disk, for what it leaves there.
    const others = ledger.living().filter(({ states }) => states.has("Stopped"));
    if (state === "Stopped" && others.length === 0) await group.sandboxes.stop(id).catch(() => undefined);
    const now = await group.sandboxes.get(id);
    sandbox.states = new Set(sandbox.traits.sleeps ? ["Running", "Stopped"] : [stateOf(now)]);
  } catch (error) {
    if (sandbox.endsAtMs && !ledger.lives(sandbox)) return findings; // Its time came while it was looked at.
    // What the host makes of it tells more.
    await sleep(3_000);
    const later = await group.sandboxes.get(id);
    const reason = later.stateDetails?.failedReason;
    findings.push(`${id} is ${state} and does not answer: ${error}; then ${later.state}: ${reason}`);
  }
  return findings;
}

/** It may go to sleep between two questions. */
async function repeated<T>(times: number, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (times <= 1) throw error;
    await sleep(500);
    return repeated(times - 1, work);
  }
}

/** Wakes it where it sleeps: by its port where it has one. */
async function awake(group: GroupApi, id: string): Promise<string[]> {
  const { state, ports } = await group.sandboxes.get(id);
  const [port] = ports ?? [];
  if (!port) {
    if (state === "Stopped") await group.sandboxes.resume(id);
    return [];
  }
  const { statusCode, body } = await request(`${port.url}/token`);
  const text = await body.text();
  // Nothing listens where the programs could not be started.
  const isSetUp = (await group.sandboxes.execShell(id, { command: `test -e ${setUpMark}` })).exitCode === 0;
  return isSetUp && statusCode !== 200 ? [`the port of ${id} answers ${statusCode} ${text}`] : [];
}

async function auditPrograms({ group }: Audited, { id, token, traits }: KnownSandbox): Promise<string[]> {
  const shell = (command: string) => group.sandboxes.execShell(id, { command, timeoutMs: 60_000 });
  if (token === undefined) {
    // Its creation was lost, or what was to run in it: it runs programs.
    const { stdout } = await shell("echo alive");
    return stdout === "alive\n" ? [] : [`${id} printed ${JSON.stringify(stdout)}`];
  }
  const findings: string[] = [];
  const { stdout, stderr } = await shell(checkScript(traits));
  if (stdout !== `${token}\n`) findings.push(`${id} (${JSON.stringify(traits)}) printed ${stdout}${stderr}`);
  findings.push(...(await auditCounter(group, id)));
  if (!traits.hasEgress) return findings;
  const asked = await shell(askOutside);
  if (asked.stdout !== "403\n403\n") findings.push(`${id} was answered from outside: ${JSON.stringify(asked)}`);
  const { denied } = await group.sandboxes.egressDecisions(id);
  const reasons = denied.slice(-2).map(({ reason }) => reason);
  if (String(reasons) !== "address,defaultAction") findings.push(`${id} was denied by ${reasons}`);
  return findings;
}

/** It goes on, and all that it has printed since it was started is there. */
async function auditCounter(group: GroupApi, id: string): Promise<string[]> {
  const background = group.sandboxes.background(id);
  const { process, from, parts, next } = await background.output(counter.id, 0);
  const text = parts.map(({ data }) => Buffer.from(data, "base64").toString()).join("");
  const wrong = from === 0 ? miscounted(text) : `its counter begins at ${from}`;
  const later = await background.output(counter.id, next, { waitMs: 60_000 });
  const goesOn = process.state === "Running" && later.next > next;
  return [...(wrong ? [`${id}: ${wrong}`] : []), ...(goesOn ? [] : [`${id}: its counter stands still`])];
}

function stateOf({ state }: SandboxView): "Running" | "Stopped" {
  return state === "Stopped" ? "Stopped" : "Running";
}

function sameLabels(one: Record<string, string>, other: Record<string, string>): boolean {
  const text = (labels: Record<string, string>) => JSON.stringify(Object.entries(labels).sort());
  return text(one) === text(other);
}
