import type { DatabaseSync, StatementSync } from "node:sqlite";
import type { z } from "zod";
import { SandboxesError } from "../../client/errors";

interface GroupedRecord {
  id: string;
  groupKey: string;
  createdAt: string;
}

/** Tables of one form; see the migrations. */
export type RecordTableName = "diskImages" | "sandboxes" | "secrets" | "volumes" | "egressPolicies" | "snapshots";

/** Records that live in a group, one JSON document a row, read back through their schema. */
export class RecordTable<Row extends GroupedRecord> {
  readonly #schema: z.ZodType<Row>;
  readonly #table: string;
  readonly #put: StatementSync;
  readonly #get: StatementSync;
  readonly #byGroup: StatementSync;
  readonly #all: StatementSync;
  readonly #count: StatementSync;
  readonly #delete: StatementSync;

  constructor(database: DatabaseSync, table: RecordTableName, schema: z.ZodType<Row>) {
    this.#schema = schema;
    this.#table = table;
    this.#put = database.prepare(
      `INSERT INTO ${table} (id, groupKey, createdAt, record) VALUES (?, ?, ?, ?)
       ON CONFLICT (id) DO UPDATE SET record = excluded.record`,
    );
    this.#get = database.prepare(`SELECT record FROM ${table} WHERE id = ?`);
    this.#byGroup = database.prepare(`SELECT record FROM ${table} WHERE groupKey = ? ORDER BY createdAt, id`);
    this.#all = database.prepare(`SELECT record FROM ${table} ORDER BY createdAt, id`);
    this.#count = database.prepare(`SELECT count(*) AS n FROM ${table}`);
    this.#delete = database.prepare(`DELETE FROM ${table} WHERE id = ?`);
  }

  /** Adds the record, or replaces the one with its id. */
  put(record: Row): void {
    this.#put.run(record.id, record.groupKey, record.createdAt, JSON.stringify(record));
  }

  /** Undefined too when the id belongs to another group. */
  get(groupKey: string, id: string): Row | undefined {
    const record = this.find(id);
    return record?.groupKey === groupKey ? record : undefined;
  }

  /** By id alone, for the host itself. */
  find(id: string): Row | undefined {
    const row = this.#get.get(id.toLowerCase());
    return row && this.#read(row);
  }

  /** Oldest first. */
  list(groupKey: string): Row[] {
    return this.#byGroup.all(groupKey).map((row) => this.#read(row));
  }

  /** Of all groups, oldest first. */
  all(): Row[] {
    return this.#all.all().map((row) => this.#read(row));
  }

  count(): number {
    return (this.#count.get() as { n: number }).n;
  }

  /** Repeatable. */
  delete(id: string): void {
    this.#delete.run(id);
  }

  #read(row: Record<string, unknown>): Row {
    const record = this.#schema.safeParse(JSON.parse(row.record as string));
    if (record.success) return record.data;
    throw new SandboxesError(
      "Internal",
      `Cannot read a record of ${this.#table}: it has another form than this version writes`,
    );
  }
}
