import { isSandboxesError } from "../client/errors";
import { inputsLabel, keyLabel } from "./ownLabels";

/**
 * A failed attempt with other inputs is removed only when it is this young: an older one may be something that was taken
 * out of the state on purpose, and nothing can tell.
 */
const leftoverAgeMs = 24 * 3_600_000;

export interface AdoptionParts<View extends { id: string }> {
  /** Of the resource; undefined: never adopts. */
  key: string | undefined;
  fingerprint: string | undefined;
  /** Objects that may carry the key. */
  list(): Promise<View[]>;
  labelsOf(view: View): Record<string, string>;
  /** True for objects in the state, or made by this process: they are in use. */
  isKnown(view: View): boolean;
  /** ISO 8601; undefined where the service does not tell. */
  createdAt(view: View): string | undefined;
  /** True when the object can be what is wanted, given that its inputs are the same. */
  isUsable(view: View): boolean;
  create(): Promise<View>;
  /** Removes an object of ours that is not the one wanted. */
  remove(view: View): Promise<void>;
}

/**
 * Creates an object, or takes over the one that an earlier attempt made whose answer was lost: it carries our key, and
 * the state does not know it. So nothing is made twice and nothing is forgotten.
 *
 * The key names organization, project, stack and URN: two stacks of the same names on different backends must not share
 * a group, for each would take the other's objects for its own unfinished ones.
 */
export async function adoptOrCreate<View extends { id: string }>(
  parts: AdoptionParts<View>,
): Promise<{ view: View; adopted: boolean }> {
  const seen = new Set<string>();
  const before = await takeOver(parts, (view) => {
    seen.add(view.id);
    return hasSameInputs(parts, view);
  });
  if (before) return { view: before, adopted: true };
  try {
    return { view: await parts.create(), adopted: false };
  } catch (error) {
    const answerLost = mayHaveHappened.some((code) => isSandboxesError(error, code));
    // What was not there before is what this attempt asked for, also where its inputs must not be told by a label.
    const after = answerLost
      ? await takeOver(parts, (view) => !seen.has(view.id)).catch(() => undefined /* the first error tells more */)
      : undefined;
    if (after) return { view: after, adopted: true };
    throw error;
  }
}

/** After these nobody knows whether the object was made. */
const mayHaveHappened = ["HostUnavailable", "Timeout", "ServiceFailed"] as const;

async function takeOver<View extends { id: string }>(
  parts: AdoptionParts<View>,
  isWanted: (view: View) => boolean,
): Promise<View | undefined> {
  const { key } = parts;
  if (!key) return undefined;
  const ours = (await parts.list()).filter((view) => parts.labelsOf(view)[keyLabel] === key);
  const inUseSince = Math.max(...ours.filter(parts.isKnown).map((view) => timeOf(parts, view) ?? 0));
  let taken: View | undefined;
  for (const view of ours.filter((view) => !parts.isKnown(view))) {
    const madeAt = timeOf(parts, view) ?? Date.now();
    // The state has a later one: this was kept on purpose, by `retainOnDelete`.
    if (madeAt < inUseSince) continue;
    const wanted = isWanted(view);
    if (!taken && wanted && parts.isUsable(view)) taken = view;
    else if (madeAt > Date.now() - leftoverAgeMs) await parts.remove(view);
  }
  return taken;
}

function hasSameInputs<View extends { id: string }>(
  { fingerprint, labelsOf }: AdoptionParts<View>,
  view: View,
): boolean {
  return fingerprint !== undefined && labelsOf(view)[inputsLabel] === fingerprint;
}

function timeOf<View extends { id: string }>(parts: AdoptionParts<View>, view: View): number | undefined {
  return Date.parse(parts.createdAt(view) ?? "") || undefined;
}
