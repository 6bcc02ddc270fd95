import { z } from "zod";
import type { GroupPut, GroupView } from "../client/wire/groups";
import { isBag } from "../pulumi/propertyBag";
import { isSameArmId } from "./armIds";

const types = ["SystemAssigned", "UserAssigned", "SystemAssigned, UserAssigned"] as const;

/** The managed identity of a group, in the words of azure-native. */
export const identityInput = z
  .strictObject({
    type: z.enum(types),
    userAssignedIdentities: z.array(z.string().min(1)).describe("ARM ids").optional(),
  })
  .refine(
    ({ type, userAssignedIdentities: ids = [] }) => type.includes("UserAssigned") === ids.length > 0,
    "give userAssignedIdentities with a type of UserAssigned, and with no other",
  )
  .describe("managed identity: {type, userAssignedIdentities}; in place");
export type IdentityInput = z.output<typeof identityInput>;

type Identity = NonNullable<GroupPut["identity"]>;

/** For the wire. Those of `live` that are not wanted any more are taken away; undefined takes all away. */
export function identityContent(wanted: IdentityInput | undefined, live?: GroupView["identity"]): Identity {
  if (!wanted) return { type: "None" };
  const { type, userAssignedIdentities: ids = [] } = wanted;
  const isWanted = (id: string) => ids.some((each) => isSameArmId(each, id));
  const gone = idsOf(live).filter((id) => !isWanted(id));
  const all = [...ids.map((id) => [id, {}] as const), ...gone.map((id) => [id, null] as const)];
  return { type, ...(all.length > 0 && { userAssignedIdentities: Object.fromEntries(all) }) };
}

/** The identity that the service tells, as inputs, in the spelling and order of the state where it is the same. */
export function identityInputs(live: GroupView["identity"], was: unknown): IdentityInput | undefined {
  const type = types.find((each) => plain(each) === plain(live?.type ?? ""));
  if (!type) return undefined;
  const ids = idsOf(live);
  const had = isBag(was) && Array.isArray(was.userAssignedIdentities) ? was.userAssignedIdentities.map(String) : [];
  const kept = had.filter((id) => ids.some((each) => isSameArmId(each, id)));
  const added = ids.filter((id) => !had.some((each) => isSameArmId(each, id)));
  const all = [...kept, ...added];
  return { type, userAssignedIdentities: all.length > 0 ? all : undefined };
}

/** True when the service's identity is the one wanted. */
export function isSameIdentity(wanted: IdentityInput | undefined, live: GroupView["identity"]): boolean {
  const told = identityInputs(live, wanted);
  const plainIds = (input: IdentityInput | undefined) => [...(input?.userAssignedIdentities ?? [])].sort().join();
  return wanted?.type === told?.type && plainIds(wanted) === plainIds(told);
}

function idsOf(live: GroupView["identity"]): string[] {
  const entries = Object.entries(live?.userAssignedIdentities ?? {});
  return entries.filter(([, value]) => value !== null).map(([id]) => id);
}

function plain(type: string): string {
  return type.replaceAll(" ", "").toLowerCase();
}
