import type { DatabaseSync } from "node:sqlite";
import { z } from "zod";
import { NamedTable } from "./namedTable";

const egressPolicyRecord = z.object({
  id: z.string(),
  groupKey: z.string(),
  /** The policy's id, as the caller wrote it first. */
  name: z.string(),
  /** As it came, unknown fields too. */
  policy: z.record(z.string(), z.unknown()),
  createdAt: z.string(),
  updatedAt: z.string(),
});
export type EgressPolicyRecord = z.output<typeof egressPolicyRecord>;

/** Named egress policies of groups. */
export class EgressPolicyStore extends NamedTable<EgressPolicyRecord> {
  constructor(database: DatabaseSync) {
    super(database, "egressPolicies", egressPolicyRecord);
  }
}
