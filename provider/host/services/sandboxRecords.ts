import { randomUUID } from "node:crypto";
import type { SandboxRecord, SandboxStore } from "../store/sandboxStore";
import type { SavedVm } from "../vm/driver";
import { timestamp } from "./timestamp";

/** Writes a change into the record as it is now: the caller's copy may be old, and what is being deleted stays so. */
export function saveChange(store: SandboxStore, record: SandboxRecord, change: Partial<SandboxRecord>): SandboxRecord {
  const current = store.get(record.groupKey, record.id);
  // What other calls change while a sandbox starts, stops or resumes.
  const { labels, ports, egressPolicy, egressPolicyId, volumes, volumesServed } = current ?? record;
  const { lifecycle, lastActiveAt } = current ?? record;
  const kept = { labels, ports, egressPolicy, egressPolicyId, volumes, volumesServed, lifecycle, lastActiveAt };
  const next = { ...record, ...kept, ...change };
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

/** Why a sandbox stands still; `Disabled` ones do not come back by themselves. */
export type StoppedReason = NonNullable<NonNullable<SandboxRecord["stateDetails"]>["stoppedReason"]>;

/** What a stop changes. Its snapshot is what is on disk, and belongs to the sandbox alone. */
export function stopped(reason: StoppedReason, saved: SavedVm): Partial<SandboxRecord> {
  const stateDetails = { stoppedReason: reason, stoppedAt: timestamp() };
  return { state: "Stopped", stateDetails, snapshotId: randomUUID(), coldStorageMiB: wholeMiB(saved.sizeBytes) };
}

export function isDisabled({ state, stateDetails }: SandboxRecord): boolean {
  return state === "Stopped" && stateDetails?.stoppedReason === "Disabled";
}

/** Sizes on the wire are whole. */
export function wholeMiB(bytes: number): number {
  return Math.ceil(bytes / 2 ** 20);
}
