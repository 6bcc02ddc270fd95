import type { DatabaseSync } from "node:sqlite";
import { z } from "zod";

const decision = z.object({
  timestamp: z.string(),
  host: z.string(),
  port: z.number(),
  method: z.string(),
  /** Without the query, which holds tokens as often as not. */
  path: z.string(),
  scheme: z.string(),
  /** The rule, or what else decided. */
  reason: z.string(),
  /** False: denied by a policy that only watches. */
  enforced: z.boolean().optional(),
});
export type EgressDecision = z.output<typeof decision>;

const decisionLog = z.object({
  allowed: z.array(decision),
  denied: z.array(decision),
  lastUpdated: z.string().optional(),
});
export type EgressDecisions = z.output<typeof decisionLog>;

/** What was last let out of each sandbox, and what was not; one row each. */
export class EgressDecisionStore {
  readonly #database: DatabaseSync;

  constructor(database: DatabaseSync) {
    this.#database = database;
  }

  get(sandboxId: string): EgressDecisions | undefined {
    const row = this.#database.prepare("SELECT record FROM egressDecisions WHERE id = ?").get(sandboxId);
    return row && decisionLog.parse(JSON.parse(row.record as string));
  }

  ids(): string[] {
    return this.#database
      .prepare("SELECT id FROM egressDecisions")
      .all()
      .map((row) => row.id as string);
  }

  put(sandboxId: string, decisions: EgressDecisions): void {
    this.#database
      .prepare("INSERT INTO egressDecisions VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET record = excluded.record")
      .run(sandboxId, JSON.stringify(decisions));
  }

  /** Repeatable. */
  delete(sandboxId: string): void {
    this.#database.prepare("DELETE FROM egressDecisions WHERE id = ?").run(sandboxId);
  }
}
