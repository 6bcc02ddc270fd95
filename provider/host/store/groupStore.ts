import type { DatabaseSync } from "node:sqlite";
import { z } from "zod";

const groupRecord = z.object({
  key: z.string(),
  /** As first written; comparison ignores case. */
  subscriptionId: z.string(),
  resourceGroup: z.string(),
  name: z.string(),
  location: z.string(),
  tags: z.record(z.string(), z.string()),
  identity: z.record(z.string(), z.unknown()).optional(),
  /** What the caller may write of the properties, unknown ones too. */
  properties: z.record(z.string(), z.unknown()),
  createdAt: z.string(),
  /** Absent in records of earlier releases that nobody changed since. */
  updatedAt: z.string().optional(),
});
export type GroupRecord = z.output<typeof groupRecord>;

/** Where a group lives; names compare without regard to case. */
export interface GroupScope {
  subscriptionId: string;
  resourceGroup: string;
  group: string;
}

/** What records of a group are filed under. */
export function groupKey(scope: GroupScope): string {
  return `${scope.subscriptionId}/${scope.resourceGroup}/${scope.group}`.toLowerCase();
}

/** Azure's name of what a group is. */
export const groupType = "Microsoft.App/sandboxGroups";

/** A group's id for Azure Resource Manager. */
export function groupId({ subscriptionId, resourceGroup, name }: GroupRecord): string {
  return `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}/providers/${groupType}/${name}`;
}

/** Sandbox groups on disk. */
export class GroupStore {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  get(key: string): GroupRecord | undefined {
    const row = this.#database.prepare("SELECT record FROM groups WHERE key = ?").get(key);
    return row && read(row);
  }

  /** By key; all groups of a subscription, or of one resource group. */
  list(subscriptionId: string, resourceGroup?: string): GroupRecord[] {
    const start = `${subscriptionId}/${resourceGroup === undefined ? "" : `${resourceGroup}/`}`.toLowerCase();
    const rows = this.#database
      .prepare("SELECT record FROM groups WHERE substr(key, 1, ?) = ? ORDER BY key")
      .all(start.length, start);
    return rows.map(read);
  }

  put(record: GroupRecord): void {
    this.#database
      .prepare("INSERT INTO groups VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET record = excluded.record")
      .run(record.key, JSON.stringify(record));
  }

  /** Repeatable. */
  delete(key: string): void {
    this.#database.prepare("DELETE FROM groups WHERE key = ?").run(key);
  }

  count(): number {
    return (this.#database.prepare("SELECT count(*) AS n FROM groups").get() as { n: number }).n;
  }
}

function read(row: Record<string, unknown>): GroupRecord {
  return groupRecord.parse(JSON.parse(row.record as string));
}
