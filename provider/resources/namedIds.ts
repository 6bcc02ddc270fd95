import { SandboxesError } from "../client/errors";
import { type GroupRef, readGroupId } from "./ids";

/** What in a group has a name that the caller chose. */
export type NamedKind = "secrets" | "egressPolicies" | "volumes";

export interface NamedRef extends GroupRef {
  name: string;
}

const words: Record<NamedKind, string> = {
  secrets: "a secret",
  egressPolicies: "an egress policy",
  volumes: "a volume",
};
const pattern = new RegExp(
  `^/subscriptions/([^/]+)/resourceGroups/([^/]+)/sandboxGroups/([^/]+)/(${Object.keys(words).join("|")})/([^/]+)$`,
  "i",
);

/** The id under which the engine keeps it; enough by itself to find it again. */
export function namedIdOf(group: GroupRef, kind: NamedKind, name: string): string {
  const { subscriptionId, resourceGroupName, groupName } = group;
  return `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroupName}/sandboxGroups/${groupName}/${kind}/${name}`;
}

/** Reads such an id; undefined for other text. */
export function readNamedId(id: string, kind: NamedKind): NamedRef | undefined {
  const match = pattern.exec(id);
  if (match?.[4]?.toLowerCase() !== kind.toLowerCase()) return undefined;
  return { subscriptionId: match[1]!, resourceGroupName: match[2]!, groupName: match[3]!, name: match[5]! };
}

/** As `readNamedId`; throws `Invalid` for other text. */
export function requireNamedId(id: string, kind: NamedKind): NamedRef {
  const ref = readNamedId(id, kind);
  if (ref) return ref;
  throw new SandboxesError("Invalid", `"${id}" is not the id of ${words[kind]}`);
}

export interface NameWish {
  group: string;
  kind: NamedKind;
  /** What the user calls it in the program. */
  logicalName: string;
  /** Of the resource; undefined: the name is made from the logical name alone. */
  key: string | undefined;
  /** True for ids in the state: a replacement needs another name than what it replaces. */
  isKnown(id: string): boolean;
}

/** A name for what the user left nameless; another one than that of an object in the state, which it replaces. */
export function nameFromKey({ group, kind, logicalName, key, isKnown }: NameWish): string {
  const names = namesFromKey({ logicalName, key, fallback: kind.slice(0, -1) });
  const ref = readGroupId(group);
  return names.find((name) => !isKnown(namedIdOf(ref, kind, name))) ?? names[0]!;
}

/**
 * `<logical name>-<10 hex of the key>`: the same for every attempt of one resource, so that what an attempt with a lost
 * answer made is found again by its name, and nobody else has a reason to use it. Three, for replacements.
 */
export function namesFromKey(wish: {
  logicalName: string;
  key: string | undefined;
  /** Where nothing of the logical name can be used. */
  fallback: string;
  /** Letters before the digits. */
  stemLength?: number;
}): string[] {
  const { logicalName, key, fallback, stemLength = 24 } = wish;
  const plain = logicalName.replaceAll(/[^A-Za-z0-9-]+/g, "-").replaceAll(/^-+|-+$/g, "");
  const stem = plain.slice(0, stemLength).replace(/-+$/, "") || fallback;
  const digits = key ?? Buffer.from(stem).toString("hex").padEnd(30, "0");
  return [0, 10, 20].map((start) => `${stem}-${digits.slice(start, start + 10)}`);
}
