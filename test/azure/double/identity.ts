import { randomUUID } from "node:crypto";
import type { GroupPut } from "../../../provider/client/wire/groups";

type Identity = NonNullable<GroupPut["identity"]>;

/** The identity after a request: ids that are null go, the system's own keeps its object id while it is there. */
export function identityAfter(old: Identity | undefined, asked: Identity | null | undefined): Identity | undefined {
  if (!asked) return old;
  if (asked.type === "None") return undefined;
  const { type } = asked;
  const all = { ...(type.includes("UserAssigned") && old?.userAssignedIdentities), ...asked.userAssignedIdentities };
  const kept = Object.entries(all).filter(([, value]) => value !== null);
  const users = Object.fromEntries(kept.map(([id]) => [id, { principalId: randomUUID(), clientId: randomUUID() }]));
  const system = type.includes("SystemAssigned")
    ? { principalId: old?.principalId ?? randomUUID(), tenantId: "11111111-1111-1111-1111-111111111111" }
    : {};
  return { type, ...system, ...(kept.length > 0 && { userAssignedIdentities: users }) };
}
