import type { DatabaseSync } from "node:sqlite";
import type { z } from "zod";
import { RecordTable } from "./recordTable";

interface NamedRecord {
  id: string;
  groupKey: string;
  /** As the caller wrote it first. */
  name: string;
  createdAt: string;
}

/** Records that a group's users name themselves; names compare without regard to case, as group names do. */
export class NamedTable<Row extends NamedRecord> extends RecordTable<Row> {
  constructor(database: DatabaseSync, table: "secrets" | "volumes" | "egressPolicies", schema: z.ZodType<Row>) {
    super(database, table, schema);
  }

  named(groupKey: string, name: string): Row | undefined {
    return this.get(groupKey, rowId(groupKey, name));
  }
}

/** The `id` of a named record. */
export function rowId(groupKey: string, name: string): string {
  return `${groupKey}/${name}`.toLowerCase();
}
