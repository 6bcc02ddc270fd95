import type { GroupStore } from "../store/groupStore";
import type { SandboxStore } from "../store/sandboxStore";
import type { VmDriver } from "../vm/driver";
import type { CommitService } from "./commits";
import type { DiskImageService } from "./diskImages";
import type { HostLog } from "./hostLog";
import type { LifecycleService } from "./lifecycle";
import type { SandboxService } from "./sandboxes";
import type { SnapshotService } from "./snapshots";

export interface RecoveryParts {
  groups: GroupStore;
  store: SandboxStore;
  driver: VmDriver;
  sandboxes: SandboxService;
  diskImages: DiskImageService;
  snapshots: SnapshotService;
  commits: CommitService;
  lifecycle: LifecycleService;
  log: HostLog;
}

/**
 * Brings records and machines together after whatever ended the former process, before the first request is served:
 * machines that run are taken over, also such as were being stopped, those on disk stay there, records whose machine
 * is gone become `Failed`, machines that nobody knows end, the times of all lifecycles go on,
 * and image imports start again. A sandbox that was being created is created anew if its id was answered, else removed.
 * Nothing that fails here for one sandbox keeps the host from serving the others.
 */
export async function recover(parts: RecoveryParts): Promise<void> {
  const { groups, store, driver, sandboxes, diskImages, log } = parts;
  for (const record of store.all()) {
    const isUnknown = record.state === "Creating" && !record.acknowledged;
    if (isUnknown || record.state === "Deleting" || !groups.get(record.groupKey)) store.delete(record.id);
  }
  const records = store.all();
  const made = records.filter(({ state }) => state !== "Failed" && state !== "Creating");
  const strays = (await driver.listVms()).filter((id) => !made.some((record) => record.id === id));
  await Promise.all(strays.map((id) => endStray(parts, id)));
  const adopted = await Promise.all(made.map((record) => sandboxes.adopt(record)));
  const groupExists = (groupKey: string) => groups.get(groupKey) !== undefined;
  diskImages.restart(groupExists);
  await parts.snapshots.recover(groupExists);
  await parts.commits.recover();
  parts.lifecycle.start();
  const unfinished = records.filter(({ state }) => state === "Creating");
  for (const record of unfinished) sandboxes.createAgain(record, groups.get(record.groupKey)!);
  if (records.length + strays.length === 0) return;
  const count = (what: string) => adopted.filter((each) => each === what).length;
  const counts = { found: count("found"), lost: count("lost"), strays: strays.length, unfinished: unfinished.length };
  log.info(counts, "recovered sandboxes of a former process");
}

async function endStray({ driver, log }: RecoveryParts, id: string): Promise<void> {
  try {
    await driver.destroy(id);
  } catch (error) {
    // A process that does not end: the next start meets it again.
    log.error({ sandbox: id, error: String(error) }, "a stray virtual machine could not be ended");
  }
}
