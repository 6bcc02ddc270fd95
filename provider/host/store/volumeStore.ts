import type { DatabaseSync } from "node:sqlite";
import { z } from "zod";
import { NamedTable } from "./namedTable";

const volumeRecord = z.object({
  id: z.string(),
  groupKey: z.string(),
  name: z.string(),
  /** Name of its directory; never used twice, as a volume's own name may be. */
  directory: z.string(),
  type: z.enum(["AzureBlob", "DataDisk"]),
  /** As the caller wrote it. */
  size: z.string().optional(),
  limitBytes: z.number(),
  /** Known without opening it, while nobody can have changed it; undefined once it was opened. */
  usedBytes: z.number().optional(),
  labels: z.record(z.string(), z.string()),
  createdAt: z.string(),
});
export type VolumeRecord = z.output<typeof volumeRecord>;

/** Volumes on disk: what was asked for; their files are in directories of their own. */
export class VolumeStore extends NamedTable<VolumeRecord> {
  constructor(database: DatabaseSync) {
    super(database, "volumes", volumeRecord);
  }
}
