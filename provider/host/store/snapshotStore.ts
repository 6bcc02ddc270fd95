import type { DatabaseSync } from "node:sqlite";
import { z } from "zod";
import { RecordTable } from "./recordTable";
import { inheritedByCopies, snapshotVolumes } from "./sandboxStore";

const text = z.record(z.string(), z.string());
const argv = z.array(z.string());

const snapshotRecord = z.object({
  id: z.string(),
  groupKey: z.string(),
  labels: text,
  /** May be gone. */
  sandboxId: z.string(),
  resources: z.object({ cpu: z.string(), memory: z.string(), disk: z.string() }),
  /** Secret, as the sandbox's. */
  environment: text,
  entrypoint: argv.optional(),
  cmd: argv.optional(),
  sizeBytes: z.number(),
  createdAt: z.string(),
  volumes: snapshotVolumes,
  ...inheritedByCopies,
});
export type SnapshotRecord = z.output<typeof snapshotRecord>;

/** Snapshots on disk: what they are of; memory and files are the driver's. */
export class SnapshotStore extends RecordTable<SnapshotRecord> {
  constructor(database: DatabaseSync) {
    super(database, "snapshots", snapshotRecord);
  }
}
