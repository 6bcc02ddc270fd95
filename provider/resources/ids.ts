import { z } from "zod";
import { SandboxesError } from "../client/errors";
import { guid, isGuid } from "../client/wire/identifiers";

/** A group's place: what its ARM id says. */
export interface GroupRef {
  subscriptionId: string;
  resourceGroupName: string;
  groupName: string;
}

/** The place of what has an id within its group. */
export interface MemberRef extends GroupRef {
  /** GUID that the service assigned. */
  memberId: string;
}

export type MemberKind = "diskimages" | "sandboxes" | "snapshots";

const words: Record<MemberKind, string> = {
  diskimages: "a disk image",
  sandboxes: "a sandbox",
  snapshots: "a snapshot",
};

const scope = "^/subscriptions/([^/]+)/resourceGroups/([^/]+)";
const groupPattern = new RegExp(`${scope}/providers/Microsoft\\.App/sandboxGroups/([^/]+)$`, "i");
const memberPattern = new RegExp(`${scope}/sandboxGroups/([^/]+)/(${Object.keys(words).join("|")})/([^/]+)$`, "i");

/** The input that names a resource's group. */
export const groupIdInput = z
  .string()
  .regex(groupPattern, "not the id of a sandbox group")
  .describe("a SandboxGroup, or its id: /subscriptions/…/resourceGroups/…/providers/Microsoft.App/sandboxGroups/NAME");

/** Reads a group's id; throws `Invalid`. */
export function readGroupId(id: string): GroupRef {
  const match = groupPattern.exec(id);
  if (!match) throw new SandboxesError("Invalid", `"${id}" is not the id of a sandbox group`);
  return { subscriptionId: match[1]!, resourceGroupName: match[2]!, groupName: match[3]! };
}

/** The group's id in the form that ARM gives. */
export function groupIdOf({ subscriptionId, resourceGroupName, groupName }: GroupRef): string {
  return `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroupName}/providers/Microsoft.App/sandboxGroups/${groupName}`;
}

/** Reads the id of such a thing; undefined for other text. */
export function readMemberId(id: string, kind: MemberKind): MemberRef | undefined {
  const match = memberPattern.exec(id);
  if (!match || match[4]!.toLowerCase() !== kind || !isGuid(match[5]!)) return undefined;
  return { subscriptionId: match[1]!, resourceGroupName: match[2]!, groupName: match[3]!, memberId: match[5]! };
}

/** As `readMemberId`; throws `Invalid` for other text. */
export function requireMemberId(id: string, kind: MemberKind): MemberRef {
  const ref = readMemberId(id, kind);
  if (ref) return ref;
  throw new SandboxesError("Invalid", `"${id}" is not an id of ${words[kind]}`);
}

/** The id under which the engine keeps it; enough by itself to find it again. */
export function memberIdOf(group: GroupRef, kind: MemberKind, memberId: string): string {
  const { subscriptionId, resourceGroupName, groupName } = group;
  return `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroupName}/sandboxGroups/${groupName}/${kind}/${guid.parse(memberId)}`;
}
