import type { DatabaseSync } from "node:sqlite";
import { z } from "zod";

const roleAssignment = z.object({
  /** ARM id of what it is about. */
  scope: z.string(),
  /** A GUID of the caller's. */
  name: z.string(),
  roleDefinitionId: z.string(),
  principalId: z.string(),
  principalType: z.string().optional(),
});
export type RoleAssignment = z.output<typeof roleAssignment>;

/** Who was given which role, on disk. Ids compare without regard to case. */
export class RoleAssignmentStore {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  get(scope: string, name: string): RoleAssignment | undefined {
    const row = this.#database.prepare("SELECT record FROM roleAssignments WHERE key = ?").get(keyOf(scope, name));
    return row && read(row);
  }

  /** At a scope or below it, by key. */
  list(scope: string): RoleAssignment[] {
    const start = `${scope}/`.toLowerCase();
    const rows = this.#database
      .prepare("SELECT record FROM roleAssignments WHERE substr(key, 1, ?) = ? ORDER BY key")
      .all(start.length, start);
    return rows.map(read);
  }

  put(assignment: RoleAssignment): void {
    this.#database
      .prepare("INSERT INTO roleAssignments VALUES (?, ?) ON CONFLICT (key) DO UPDATE SET record = excluded.record")
      .run(keyOf(assignment.scope, assignment.name), JSON.stringify(assignment));
  }

  /** Repeatable. */
  delete(scope: string, name: string): void {
    this.#database.prepare("DELETE FROM roleAssignments WHERE key = ?").run(keyOf(scope, name));
  }

  /** All at a scope or below it; repeatable. */
  deleteUnder(scope: string): void {
    for (const { scope: at, name } of this.list(scope)) this.delete(at, name);
  }
}

function keyOf(scope: string, name: string): string {
  return `${scope}/${name}`.toLowerCase();
}

function read(row: Record<string, unknown>): RoleAssignment {
  return roleAssignment.parse(JSON.parse(row.record as string));
}
