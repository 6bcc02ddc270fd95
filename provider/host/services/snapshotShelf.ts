import { mkdir, readdir, rename, rm } from "node:fs/promises";
import { join } from "node:path";
import { SandboxesError } from "../../client/errors";
import type { SandboxSource } from "../../client/wire/sandboxes";
import type { SnapshotRecord, SnapshotStore } from "../store/snapshotStore";

/** Where snapshots are kept: a record each, and a directory that the driver fills. */
export class SnapshotShelf {
  readonly store: SnapshotStore;
  readonly #root: string;

  constructor(parts: { store: SnapshotStore; directory: string }) {
    this.store = parts.store;
    this.#root = parts.directory;
  }

  /** The snapshot that a sandbox is to be made from; undefined when it is to be made from something else. */
  source(groupKey: string, source: SandboxSource | undefined): SnapshotRecord | undefined {
    if (!source?.snapshot) return undefined;
    if (source.diskImage) {
      throw new SandboxesError("Invalid", "A sandbox is made from a disk image or a snapshot, not from both", {
        field: "sourcesRef",
      });
    }
    const { id } = source.snapshot;
    const record = this.store.get(groupKey, id);
    if (record) return record;
    throw new SandboxesError("NotFound", `Cannot make a sandbox: the snapshot "${id}" does not exist`, {
      field: "sourcesRef.snapshot",
      // No answer to a creation is a 404.
      status: 400,
      serviceCode: "SnapshotNotFound",
    });
  }

  async newDirectory(id: string): Promise<string> {
    await mkdir(this.#root, { recursive: true, mode: 0o700 });
    return this.directoryOf(id);
  }

  directoryOf(id: string): string {
    return join(this.#root, id);
  }

  /** Out of sight first. Sandboxes that were made from them go on. Repeatable. */
  async removeFiles(id: string): Promise<void> {
    const doomed = `${this.directoryOf(id)}.removed`;
    await rename(this.directoryOf(id), doomed).catch(() => undefined); // There is none: what matters is that it is gone.
    await rm(doomed, { recursive: true, force: true });
  }

  /** Removes files that no record speaks of: of a save or a removal that was cut off. */
  async removeLeftovers(): Promise<void> {
    const names = await readdir(this.#root).catch(() => []);
    const known = new Set(this.store.all().map(({ id }) => id));
    for (const name of names) {
      if (!known.has(name)) await rm(join(this.#root, name), { recursive: true, force: true });
    }
  }
}
