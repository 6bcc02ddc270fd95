import type { GroupStore } from "../store/groupStore";
import type { SandboxStore } from "../store/sandboxStore";
import type { VmDriver } from "../vm/driver";
import type { DiskImageService } from "./diskImages";
import type { HostLog } from "./hostLog";
import type { SandboxService } from "./sandboxes";

export interface RecoveryParts {
  groups: GroupStore;
  store: SandboxStore;
  driver: VmDriver;
  sandboxes: SandboxService;
  diskImages: DiskImageService;
  log: HostLog;
}

/**
 * Brings records and machines together after whatever ended the former process, before the first request is served:
 * machines that run are taken over, records whose machine is gone become `Failed`, machines that nobody knows end,
 * and image imports start again. A sandbox that was still being created is removed: nobody was told its id.
 */
export async function recover(parts: RecoveryParts): Promise<void> {
  const { groups, store, driver, sandboxes, diskImages, log } = parts;
  const known = new Set<string>();
  for (const record of store.all()) {
    const unfinished = record.state === "Creating" || record.state === "Deleting";
    if (unfinished || !groups.get(record.groupKey)) {
      store.delete(record.id);
    } else if (record.state !== "Failed") {
      known.add(record.id);
    }
  }
  const strays = (await driver.listVms()).filter((id) => !known.has(id));
  await Promise.all(strays.map((id) => driver.destroy(id)));
  const adopting = store
    .all()
    .filter((record) => known.has(record.id))
    .map(async (record) => {
      const vm = await driver.adopt(record.id).catch((error: unknown) => {
        log.warn({ sandbox: record.id, error: String(error) }, "a virtual machine could not be taken over");
        return undefined;
      });
      await sandboxes.adopt(record, vm);
      return vm !== undefined;
    });
  const found = (await Promise.all(adopting)).filter(Boolean).length;
  diskImages.restart((groupKey) => groups.get(groupKey) !== undefined);
  if (known.size > 0 || strays.length > 0) {
    log.info({ found, lost: known.size - found, strays: strays.length }, "recovered sandboxes of a former process");
  }
}
