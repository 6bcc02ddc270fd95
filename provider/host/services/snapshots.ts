import { randomUUID } from "node:crypto";
import { SandboxesError } from "../../client/errors";
import { type Labels, matchesLabels } from "../../client/wire/labels";
import type { SnapshotRecord } from "../store/snapshotStore";
import type { VolumeStore } from "../store/volumeStore";
import type { VmDriver } from "../vm/driver";
import { volumesOfSnapshot } from "../volumes/snapshotVolumes";
import type { SandboxService } from "./sandboxes";
import type { SnapshotShelf } from "./snapshotShelf";
import { refreshGuest } from "./startSandbox";
import { timestamp } from "./timestamp";

/** Snapshots: memory, processes and files of a sandbox at one moment. They outlive it. */
export class SnapshotService {
  readonly #shelf: SnapshotShelf;
  readonly #sandboxes: SandboxService;
  readonly #driver: Pick<VmDriver, "save">;
  readonly #volumes: VolumeStore;

  constructor(parts: {
    shelf: SnapshotShelf;
    sandboxes: SandboxService;
    driver: Pick<VmDriver, "save">;
    volumes: VolumeStore;
  }) {
    this.#shelf = parts.shelf;
    this.#sandboxes = parts.sandboxes;
    this.#driver = parts.driver;
    this.#volumes = parts.volumes;
  }

  /** Saves a running sandbox, which stands still meanwhile and goes on; throws `NotRunning` otherwise. */
  create(groupKey: string, sandboxId: string, labels: Labels = {}): Promise<SnapshotRecord> {
    return this.#sandboxes.whileRunning(groupKey, sandboxId, async (sandbox, vm) => {
      const id = randomUUID();
      const volumes = volumesOfSnapshot(this.#volumes, sandbox);
      const directory = await this.#shelf.newDirectory(id);
      const { sizeBytes } = await this.#driver.save(sandbox.id, directory);
      // Its clock stood still.
      await refreshGuest(sandbox.id, vm);
      const { resources, environment, entrypoint, cmd, program, imageDigest, imageConfig } = sandbox;
      const record: SnapshotRecord = {
        ...{ id, groupKey, labels, sandboxId: sandbox.id, resources, environment, entrypoint, cmd, sizeBytes },
        ...{ program, imageDigest, imageConfig, volumes, createdAt: timestamp() },
      };
      this.#shelf.store.put(record);
      return record;
    });
  }

  get(groupKey: string, id: string): SnapshotRecord {
    const record = this.#shelf.store.get(groupKey, id);
    if (record) return record;
    throw new SandboxesError("NotFound", `The snapshot "${id}" does not exist`, { serviceCode: "SnapshotNotFound" });
  }

  list(groupKey: string, selector: Labels = {}): SnapshotRecord[] {
    return this.#shelf.store.list(groupKey).filter((record) => matchesLabels(record.labels, selector));
  }

  /** Sandboxes made from it go on. False when there was none. */
  async delete(groupKey: string, id: string): Promise<boolean> {
    const record = this.#shelf.store.get(groupKey, id);
    if (!record) return false;
    // The record first: what a crash leaves is then nobody's.
    this.#shelf.store.delete(record.id);
    await this.#shelf.removeFiles(record.id);
    return true;
  }

  /** Deletes all of a group. */
  async empty(groupKey: string): Promise<void> {
    for (const { id } of this.list(groupKey)) await this.delete(groupKey, id);
  }

  /** After a restart: drops what belongs to no group or has no record. */
  async recover(groupExists: (groupKey: string) => boolean): Promise<void> {
    for (const { id, groupKey } of this.#shelf.store.all()) if (!groupExists(groupKey)) this.#shelf.store.delete(id);
    await this.#shelf.removeLeftovers();
  }
}
