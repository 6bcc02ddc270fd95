import type { DatabaseSync } from "node:sqlite";
import { z } from "zod";
import { imageConfigSchema } from "../images/imageConfig";
import { RecordTable } from "./recordTable";

const argv = z.array(z.string());

const diskImageRecord = z.object({
  id: z.string(),
  groupKey: z.string(),
  name: z.string().optional(),
  labels: z.record(z.string(), z.string()),
  /** The reference as the caller wrote it. */
  base: z.string(),
  entrypoint: argv.optional(),
  cmd: argv.optional(),
  warmUp: argv.optional(),
  state: z.enum(["Building", "Ready", "Failed"]),
  /** What the import is doing, or why it failed. */
  message: z.string().optional(),
  /** Wire name of the error, `RegistryFailed`. */
  errorCode: z.string().optional(),
  digest: z.string().optional(),
  sizeBytes: z.number().optional(),
  /** What the image says of its process; absent until it is imported, and of records of earlier versions. */
  config: imageConfigSchema.optional(),
  /** Of a commit: its sandbox, and the configuration of the image that was made from. */
  commit: z.object({ sandboxId: z.string(), config: imageConfigSchema }).optional(),
  createdAt: z.string(),
  updatedAt: z.string(),
  /** Secret; kept only while `Building`, so that a restarted host can go on. */
  credentials: z.object({ username: z.string(), password: z.string() }).optional(),
});
export type DiskImageRecord = z.output<typeof diskImageRecord>;

/** Disk images of groups on disk: what was asked for; the bytes are the image store's. */
export class DiskImageStore extends RecordTable<DiskImageRecord> {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    super(database, "diskImages", diskImageRecord);
    this.#database = database;
  }

  /** The digest a catalogue name was imported as on this host. */
  publicDigest(name: string): string | undefined {
    const row = this.#database.prepare("SELECT digest FROM publicImages WHERE name = ?").get(name);
    return row?.digest as string | undefined;
  }

  rememberPublic(name: string, digest: string): void {
    this.#database
      .prepare("INSERT INTO publicImages VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET digest = excluded.digest")
      .run(name, digest);
  }
}
