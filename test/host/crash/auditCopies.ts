import type { CreateSandboxContent } from "../../../provider/client/wire/sandboxes";
import type { Audited } from "./auditRecords";
import { inherited } from "./copyActions";
import { checkScript } from "./guestPrograms";

/** Snapshots are those that were acknowledged, and one of them is restored. */
export async function auditSnapshots({ group, ledger }: Audited): Promise<string[]> {
  const findings: string[] = [];
  const views = await group.snapshots.list();
  for (const { id, sandboxId } of views) {
    const source = ledger.sandboxes.get(sandboxId ?? "");
    if (!source || !ledger.copied.has(source.id)) findings.push(`snapshot ${id} was never asked for`);
    if (ledger.snapshots.has(id)) continue;
    ledger.snapshots.set(id, { id, fate: "lives", token: source?.token, traits: inherited(source?.traits ?? {}) });
  }
  findings.push(...compare("snapshot", [...ledger.snapshots.values()], new Set(views.map(({ id }) => id))));
  const known = [...ledger.snapshots.values()].findLast(({ fate, token }) => fate === "lives" && token !== undefined);
  if (!known) return findings;
  const printed = await tried(group, { sourcesRef: { snapshot: { id: known.id } } }, checkScript(known.traits));
  if (printed !== `${known.token}\n`) findings.push(`snapshot ${known.id}, restored, says ${printed}`);
  return findings;
}

/** Images are those that were acknowledged, built or failed; one that was committed holds its sandbox's files. */
export async function auditImages({ group, ledger }: Audited): Promise<string[]> {
  const findings: string[] = [];
  const views = await group.diskImages.list();
  for (const { id, image, status } of views) {
    const base = image.base ?? "";
    if (!ledger.sentSources.has(base)) findings.push(`image ${id} was never asked for`);
    if (!ledger.images.has(id)) ledger.images.set(id, { id, fate: "lives" });
    const { state, message } = status;
    const wanted = base.includes("broken") ? "Failed" : "Ready";
    if (state !== wanted) findings.push(`image ${id} of ${base} is ${state}: ${message}`);
    if (state === "Failed" && !message) findings.push(`image ${id} failed without a reason`);
  }
  findings.push(...compare("image", [...ledger.images.values()], new Set(views.map(({ id }) => id))));
  const commit = [...ledger.images.values()].findLast(({ fate, token }) => fate === "lives" && token !== undefined);
  if (!commit) return findings;
  const resources = { cpu: "1000m", memory: "128Mi", disk: "64Mi" };
  const sourcesRef = { diskImage: { id: commit.id } };
  const printed = await tried(group, { sourcesRef, resources }, "cat /root/token");
  if (printed !== `${commit.token}\n`) findings.push(`commit ${commit.id} holds ${printed}`);
  // It was looked at, which takes a template of its own.
  commit.token = undefined;
  return findings;
}

/** What a program prints in a sandbox that is there for it only. */
async function tried(group: Audited["group"], content: CreateSandboxContent, command: string): Promise<string> {
  try {
    const { id } = await group.sandboxes.create(content);
    const { stdout, stderr } = await group.sandboxes.execShell(id, { command, timeoutMs: 60_000 });
    await group.sandboxes.delete(id);
    return stdout + stderr;
  } catch (error) {
    return String(error);
  }
}

export function compare(
  what: string,
  known: { id: string; fate: "lives" | "mayBeGone" | "gone" }[],
  there: Set<string>,
): string[] {
  const findings: string[] = [];
  for (const each of known) {
    const isThere = there.has(each.id);
    if (isThere && each.fate === "gone") findings.push(`${what} ${each.id} was deleted and is there`);
    if (!isThere && each.fate === "lives") findings.push(`${what} ${each.id} is lost`);
    each.fate = isThere ? "lives" : "gone";
  }
  return findings;
}
