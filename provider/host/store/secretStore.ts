import type { DatabaseSync } from "node:sqlite";
import { z } from "zod";
import { NamedTable } from "./namedTable";

const secretRecord = z.object({
  id: z.string(),
  groupKey: z.string(),
  name: z.string(),
  /** Names of the values, sorted. */
  keys: z.array(z.string()),
  /** All values in one box of `SecretBox`. */
  sealed: z.string(),
  createdAt: z.string(),
  updatedAt: z.string(),
});
export type SecretRecord = z.output<typeof secretRecord>;

/** Secrets on disk; their values only as ciphertext. */
export class SecretStore extends NamedTable<SecretRecord> {
  constructor(database: DatabaseSync) {
    super(database, "secrets", secretRecord);
  }
}
