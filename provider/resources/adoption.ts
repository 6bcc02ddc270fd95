import { isSandboxesError } from "../client/errors";
import { inputsLabel, keyLabel } from "./ownLabels";

export interface AdoptionParts<View> {
  /** Of the resource; undefined: never adopts. */
  key: string | undefined;
  fingerprint: string | undefined;
  /** Objects that may carry the key. */
  list(): Promise<View[]>;
  labelsOf(view: View): Record<string, string>;
  /** True for objects in the state, or made by this process: they are in use. */
  isKnown(view: View): boolean;
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
export async function adoptOrCreate<View>(parts: AdoptionParts<View>): Promise<{ view: View; adopted: boolean }> {
  const before = await takeOver(parts);
  if (before) return { view: before, adopted: true };
  try {
    return { view: await parts.create(), adopted: false };
  } catch (error) {
    const answerLost = isSandboxesError(error, "HostUnavailable") || isSandboxesError(error, "Timeout");
    const after = answerLost
      ? await takeOver(parts).catch(() => undefined /* the first error tells more */)
      : undefined;
    if (after) return { view: after, adopted: true };
    throw error;
  }
}

async function takeOver<View>(parts: AdoptionParts<View>): Promise<View | undefined> {
  const { key, fingerprint } = parts;
  if (!key) return undefined;
  let taken: View | undefined;
  for (const view of await parts.list()) {
    const labels = parts.labelsOf(view);
    if (labels[keyLabel] !== key || parts.isKnown(view)) continue;
    const same = fingerprint !== undefined && labels[inputsLabel] === fingerprint;
    if (!taken && same && parts.isUsable(view)) taken = view;
    else await parts.remove(view);
  }
  return taken;
}
