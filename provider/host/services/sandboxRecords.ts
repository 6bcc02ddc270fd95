import { randomUUID } from "node:crypto";
import type { SandboxRecord, SandboxStore } from "../store/sandboxStore";
import { timestamp } from "./timestamp";

/** Writes a change into the record as it is now: the caller's copy may be old, and what is being deleted stays so. */
export function saveChange(store: SandboxStore, record: SandboxRecord, change: Partial<SandboxRecord>): SandboxRecord {
  const current = store.get(record.groupKey, record.id);
  // What other calls change while a sandbox starts, stops or resumes.
  const { labels, ports, egressPolicy, egressPolicyId } = current ?? record;
  const next = { ...record, labels, ports, egressPolicy, egressPolicyId, ...change };
  if (current?.state === "Deleting") next.state = "Deleting";
  if (current) store.put(next);
  return next;
}

/** Notes the reason; what failed already keeps its own. */
export function saveFailure(store: SandboxStore, id: string, reason: string): void {
  const record = store.find(id);
  if (!record || record.state === "Deleting" || record.state === "Failed") return;
  saveChange(store, record, { state: "Failed", stateDetails: { failedReason: reason, failedAt: timestamp() } });
}

/** What a stop changes; its snapshot is the frozen memory. */
export function stopped(): Partial<SandboxRecord> {
  const stateDetails = { stoppedReason: "UserStopped", stoppedAt: timestamp() };
  return { state: "Stopped", stateDetails, snapshotId: randomUUID() };
}
