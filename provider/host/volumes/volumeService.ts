import { randomUUID } from "node:crypto";
import { existsSync, mkdirSync, readdirSync } from "node:fs";
import { rm } from "node:fs/promises";
import { join } from "node:path";
import { SandboxesError } from "../../client/errors";
import { type Labels, matchesLabels } from "../../client/wire/labels";
import type { SandboxSource } from "../../client/wire/sandboxes";
import type { PutVolumeContent, SandboxVolume } from "../../client/wire/volumes";
import type { HostLog } from "../services/hostLog";
import { saveChange } from "../services/sandboxRecords";
import type { SnapshotShelf } from "../services/snapshotShelf";
import { timestamp } from "../services/timestamp";
import { rowId } from "../store/namedTable";
import type { SandboxRecord, SandboxStore } from "../store/sandboxStore";
import type { VolumeRecord, VolumeStore } from "../store/volumeStore";
import type { GuestAgent } from "../vm/guestAgent";
import { type MountedVolume, readMounts } from "./mountpoints";
import { serveVolume } from "./serveVolume";
import { volumesOfCopy } from "./snapshotVolumes";
import { VolumeAccess } from "./volumeAccess";
import { readVolumeContent } from "./volumeContent";
import { VolumeFiles } from "./volumeFiles";

/** A guest mounts at once; this is for a machine under heavy load. */
const mountLimitMs = 30_000;

export interface VolumeUse {
  record: VolumeRecord;
  usedBytes: number;
  /** Sandboxes that have it. */
  sandboxIds: string[];
}

/**
 * Volumes: files that outlive sandboxes. `AzureBlob` is a directory for any number of them, `DataDisk` belongs to one
 * at a time. Both live on this host and are served to guests by the daemon.
 */
export class VolumeService {
  readonly #store: VolumeStore;
  readonly #sandboxes: SandboxStore;
  readonly #snapshots: Pick<SnapshotShelf, "source">;
  readonly #directory: string;
  readonly #log: HostLog;
  /** By the name of their directory. */
  readonly #open = new Map<string, VolumeFiles>();

  constructor(parts: {
    store: VolumeStore;
    sandboxes: SandboxStore;
    snapshots: Pick<SnapshotShelf, "source">;
    dataDir: string;
    log: HostLog;
  }) {
    this.#store = parts.store;
    this.#snapshots = parts.snapshots;
    this.#sandboxes = parts.sandboxes;
    this.#directory = join(parts.dataDir, "volumes");
    this.#log = parts.log;
  }

  /** Creates; of one that is there labels and a larger size may change. Throws `Conflict`. */
  async put(groupKey: string, name: string, body: PutVolumeContent): Promise<{ use: VolumeUse; created: boolean }> {
    const wanted = readVolumeContent(name, body);
    const old = this.#store.named(groupKey, name);
    if (old && old.type !== wanted.type) {
      throw new SandboxesError(
        "Conflict",
        `The volume "${name}" is a ${old.type}, and cannot become a ${wanted.type}`,
        {
          field: "type",
        },
      );
    }
    const limitBytes = wanted.size === undefined ? (old?.limitBytes ?? wanted.limitBytes) : wanted.limitBytes;
    if (old && limitBytes < old.limitBytes) {
      throw new SandboxesError(
        "Conflict",
        `The volume "${name}" has ${old.size ?? "no size"}, and cannot become smaller`,
        {
          field: "size",
        },
      );
    }
    const record: VolumeRecord = {
      ...{ id: rowId(groupKey, name), groupKey, name: old?.name ?? name, directory: old?.directory ?? randomUUID() },
      ...{ type: wanted.type, size: wanted.size ?? old?.size, limitBytes, usedBytes: old ? old.usedBytes : 0 },
      ...{ labels: body.labels ?? {}, createdAt: old?.createdAt ?? timestamp() },
    };
    this.#store.put(record);
    this.#open.get(record.directory)?.tree.setLimit(limitBytes);
    return { use: this.#use(record), created: !old };
  }

  /** Throws `NotFound`. */
  get(groupKey: string, name: string): VolumeUse {
    return this.#use(this.#find(groupKey, name));
  }

  list(groupKey: string, selector: Labels = {}): VolumeUse[] {
    const records = this.#store.list(groupKey).filter(({ labels }) => matchesLabels(labels, selector));
    const users = this.#usersByVolume(groupKey);
    return records.map((record) => this.#use(record, users.get(record.name.toLowerCase()) ?? []));
  }

  /** How many there are of each type. */
  count(groupKey: string): { type: string; count: number }[] {
    const records = this.#store.list(groupKey);
    const types = [...new Set(records.map(({ type }) => type))];
    return types.map((type) => ({ type, count: records.filter((record) => record.type === type).length }));
  }

  /** A new volume with what another holds now; throws `Conflict` where there is one, `InUse` where it would miss what a guest has not written yet. */
  async fork(groupKey: string, name: string, to: { name: string; labels: Labels }): Promise<VolumeUse> {
    const source = this.#unused(groupKey, name, "copy");
    if (this.#store.named(groupKey, to.name)) {
      throw new SandboxesError("Conflict", `Cannot copy the volume "${name}" to "${to.name}", which exists`, {
        field: "destinationVolumeName",
      });
    }
    const directory = randomUUID();
    const record: VolumeRecord = {
      ...{ ...source, id: rowId(groupKey, to.name), name: to.name, directory },
      ...{ labels: to.labels, usedBytes: undefined },
    };
    const path = join(this.#directory, directory);
    try {
      await this.#filesOf(source).copyTo(path);
      // Somebody may have been faster.
      if (this.#store.named(groupKey, to.name)) {
        throw new SandboxesError("Conflict", `The volume "${to.name}" was made meanwhile`);
      }
    } catch (error) {
      await rm(path, { recursive: true, force: true });
      throw error;
    }
    this.#store.put({ ...record, createdAt: timestamp() });
    return this.get(groupKey, to.name);
  }

  /** Its files, to be looked at by their paths. */
  filesOf(groupKey: string, name: string): VolumeAccess {
    return new VolumeAccess(this.#filesOf(this.#find(groupKey, name)));
  }

  /** As `filesOf`, also to be changed; throws `InUse` for a `DataDisk` that a sandbox has: it would not notice. */
  writableFilesOf(groupKey: string, name: string): VolumeAccess {
    return new VolumeAccess(this.#filesOf(this.#unused(groupKey, name, "change")));
  }

  /** With all that it holds; throws `InUse` while a sandbox has it. False when there was none. */
  async delete(groupKey: string, name: string): Promise<boolean> {
    const record = this.#store.named(groupKey, name);
    if (!record) return false;
    const [user] = this.#usersOf(record);
    if (user) {
      throw new SandboxesError("InUse", `Cannot delete the volume "${name}": sandbox ${user} has it`, {
        serviceCode: "VolumeInUse",
        hint: "delete the sandbox first",
      });
    }
    await this.#remove(record);
    return true;
  }

  /**
   * What a new sandbox is to have, checked; throws `Invalid`, `NotFound`, `InUse`, `Conflict`. A copy has what its snapshot
   * has. To be kept before anything else.
   */
  declared(
    groupKey: string,
    body: { volumes?: SandboxVolume[] | null; sourcesRef?: SandboxSource | null },
  ): MountedVolume[] | undefined {
    const asked = body.volumes ?? [];
    const snapshot = this.#snapshots.source(groupKey, body.sourcesRef ?? undefined);
    if (snapshot && asked.length > 0) {
      throw new SandboxesError("Invalid", "A sandbox made from a snapshot has the snapshot's volumes", {
        field: "volumes",
        hint: "leave them out, or add others when it runs",
      });
    }
    if (snapshot) return volumesOfCopy(this.#store, snapshot);
    if (asked.length === 0) return undefined;
    const mounts = readMounts(asked, [], "volumes");
    for (const { volumeName } of mounts) this.#checkFree(groupKey, volumeName);
    return mounts;
  }

  /** Gives a running sandbox one more. */
  async add(record: SandboxRecord, agent: GuestAgent, asked: SandboxVolume): Promise<void> {
    const mounted = record.volumes ?? [];
    const [mount] = readMounts([asked], mounted, "volumeMount") as [MountedVolume];
    this.#checkFree(record.groupKey, mount.volumeName);
    saveChange(this.#sandboxes, record, { volumes: [...mounted, mount] });
    try {
      await this.#mount(record, mount, agent);
    } catch (error) {
      const current = this.#sandboxes.find(record.id);
      const others = (current?.volumes ?? []).filter(({ volumeName }) => volumeName !== mount.volumeName);
      if (current) saveChange(this.#sandboxes, current, { volumes: others });
      throw error;
    }
  }

  /**
   * A guest answers: started, resumed or taken over. Rejects only for one that never had its volumes; programs of
   * another wait for what is missing.
   */
  async guestUp(record: SandboxRecord, agent: GuestAgent): Promise<void> {
    for (const mount of record.volumes ?? []) {
      try {
        await this.#mount(record, mount, agent);
      } catch (error) {
        if (record.volumesServed !== true) throw error;
        const facts = { sandbox: record.id, volume: mount.volumeName, error: String(error) };
        this.#log.warn(facts, "a volume could not be given to its sandbox again");
      }
    }
    if (record.volumes && record.volumesServed !== true) saveChange(this.#sandboxes, record, { volumesServed: true });
  }

  /** A sandbox is gone for good. Repeatable. */
  removed(sandboxId: string): void {
    for (const files of this.#open.values()) {
      files.detach(sandboxId).catch((error: unknown) => {
        this.#log.warn(
          { sandbox: sandboxId, error: String(error) },
          "what a sandbox left in a volume could not be removed",
        );
      });
    }
  }

  /** Deletes all of a group, whose sandboxes are gone. */
  async empty(groupKey: string): Promise<void> {
    for (const record of this.#store.list(groupKey)) await this.#remove(record);
  }

  /** Removes what a former process left half removed. */
  async restart(groupExists: (groupKey: string) => boolean): Promise<void> {
    for (const record of this.#store.all()) if (!groupExists(record.groupKey)) await this.#remove(record);
    const known = new Set(this.#store.all().map(({ directory }) => directory));
    const found = existsSync(this.#directory) ? readdirSync(this.#directory) : [];
    for (const name of found) if (!known.has(name)) await rm(join(this.#directory, name), { recursive: true });
  }

  /** Ends serving; guests wait for the next process. What volumes hold by then is kept, for lists to tell it. */
  async close(): Promise<void> {
    const open = new Map(this.#open);
    this.#open.clear();
    await Promise.all([...open.values()].map((files) => files.close()));
    for (const record of this.#store.all()) {
      const files = open.get(record.directory);
      if (files) this.#store.put({ ...record, usedBytes: files.tree.usage.usedBytes });
    }
  }

  #find(groupKey: string, name: string): VolumeRecord {
    const record = this.#store.named(groupKey, name);
    if (record) return record;
    throw new SandboxesError("NotFound", `The volume "${name}" does not exist`, { serviceCode: "VolumeNotFound" });
  }

  /** A sandbox that has a `DataDisk` keeps part of it in its own memory. */
  #unused(groupKey: string, name: string, action: string): VolumeRecord {
    const record = this.#find(groupKey, name);
    const [user] = record.type === "DataDisk" ? this.#usersOf(record) : [];
    if (user === undefined) return record;
    throw new SandboxesError("InUse", `Cannot ${action} the volume "${name}": sandbox ${user} has it`, {
      serviceCode: "VolumeInUse",
      hint: "use the sandbox's files, or delete the sandbox first",
    });
  }

  #checkFree(groupKey: string, name: string): void {
    const record = this.#find(groupKey, name);
    const [user] = this.#usersOf(record);
    if (record.type !== "DataDisk" || user === undefined) return;
    throw new SandboxesError(
      "InUse",
      `Cannot mount the volume "${name}": sandbox ${user} has it, and a DataDisk is for one`,
      {
        serviceCode: "VolumeInUse",
        hint: "delete that sandbox first, or use a volume of type AzureBlob",
      },
    );
  }

  async #mount(record: SandboxRecord, { volumeName, mountpoint, readOnly }: MountedVolume, agent: GuestAgent) {
    const volume = this.#find(record.groupKey, volumeName);
    const files = this.#filesOf(volume);
    files.attach(record.id, false);
    const signal = AbortSignal.timeout(mountLimitMs);
    const stream = await agent.mount({ name: volume.directory, path: mountpoint, readOnly }, { signal });
    const exclusive = volume.type === "DataDisk";
    void serveVolume({ id: record.id, files, readOnly, exclusive }, stream, this.#log);
  }

  #usersOf({ groupKey, name }: VolumeRecord): string[] {
    return this.#usersByVolume(groupKey).get(name.toLowerCase()) ?? [];
  }

  /** Sandboxes that have a volume, by its name in small letters. */
  #usersByVolume(groupKey: string): Map<string, string[]> {
    const users = new Map<string, string[]>();
    for (const { id, state, volumes = [] } of this.#sandboxes.list(groupKey)) {
      if (state === "Failed") continue;
      for (const name of new Set(volumes.map(({ volumeName }) => volumeName.toLowerCase()))) {
        users.set(name, [...(users.get(name) ?? []), id]);
      }
    }
    return users;
  }

  #use(record: VolumeRecord, sandboxIds = this.#usersOf(record)): VolumeUse {
    const kept = this.#open.has(record.directory) ? undefined : record.usedBytes;
    return { record, usedBytes: kept ?? this.#filesOf(record).tree.usage.usedBytes, sandboxIds };
  }

  #filesOf(record: VolumeRecord): VolumeFiles {
    const known = this.#open.get(record.directory);
    if (known) return known;
    mkdirSync(this.#directory, { recursive: true, mode: 0o700 });
    const files = new VolumeFiles(join(this.#directory, record.directory), record.limitBytes);
    this.#open.set(record.directory, files);
    // From now on only the volume itself knows, also for a process after one that was killed.
    if (record.usedBytes !== undefined) this.#store.put({ ...record, usedBytes: undefined });
    files.reopen(this.#usersOf(record)).catch((error: unknown) => {
      this.#log.warn({ volume: record.name, error: String(error) }, "what was left in a volume could not be removed");
    });
    return files;
  }

  /** The record last: a process that ends in between finds it, and nobody can have mounted it. */
  async #remove(record: VolumeRecord): Promise<void> {
    const files = this.#open.get(record.directory);
    this.#open.delete(record.directory);
    this.#store.delete(record.id);
    await files?.close();
    await rm(join(this.#directory, record.directory), { recursive: true, force: true });
  }
}
