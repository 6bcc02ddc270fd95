import { z } from "zod";
import { labels } from "../client/wire/labels";
import { targets } from "../pulumi/providerConfig";

/** Label (on groups, tag) that says which resource of which stack made an object. */
export const keyLabel = "pulumi-key";
/** Label with the fingerprint of the inputs that need a new object when they change. */
export const inputsLabel = "pulumi-inputs";

const ours = [keyLabel, inputsLabel];

/** What ours looks like on an object about to be made; without a fingerprint nobody adopts it. */
export function ownLabels(key: string | undefined, fingerprint: string | undefined): Record<string, string> {
  return { ...(key && { [keyLabel]: key }), ...(key && fingerprint && { [inputsLabel]: fingerprint }) };
}

/** Those of an object that are ours, to be kept when the user's are replaced. */
export function keepOwnLabels(all: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(all).filter(([name]) => ours.includes(name)));
}

/** Those of an object that are the user's. */
export function userLabels(all: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(all).filter(([name]) => !ours.includes(name)));
}

/** The input of labels: Azure's rules, and not our names. */
export const labelsInput = labels
  .refine((value) => !ours.some((name) => name in value), `the names ${ours.join(" and ")} are the provider's own`)
  .describe("texts by name, values of at most 63 characters");

/** The hidden input that says where the resource's group is; filled in by `check`. */
export const targetInput = z.enum(targets).optional();

/** The hidden input that names the resource among all stacks; see `resourceKey`. */
export const keyInput = z
  .string()
  .regex(/^[0-9a-f]{32}$/)
  .optional();
