import { isBag, type PropertyBag, propertyPath } from "./propertyBag";
import { containsUnknown } from "./unknowns";

export interface Change {
  /** `tags.team`; the part before the first dot or bracket is the input's name. */
  path: string;
  kind: "add" | "delete" | "update";
  replaces: boolean;
}

/**
 * What differs between two canonical bags of inputs, leaf by leaf. What is not known yet counts as changed.
 * `replaceOn` holds paths; a change at or below one of them replaces the resource.
 */
export function diffInputs(olds: PropertyBag, news: PropertyBag, replaceOn: readonly string[]): Change[] {
  const changes: Change[] = [];
  compare(olds, news, [], (path, kind) => {
    const text = propertyPath(path);
    changes.push({ path: text, kind, replaces: replaceOn.some((prefix) => isAtOrBelow(text, prefix)) });
  });
  return changes;
}

/** The input's name at the head of a path. */
export function inputOf(path: string): string {
  return path.split(/[.[]/, 1)[0] as string;
}

function compare(
  old: unknown,
  now: unknown,
  path: PropertyKey[],
  report: (path: PropertyKey[], kind: Change["kind"]) => void,
): void {
  if (isBag(old) && isBag(now)) {
    for (const key of [...new Set([...Object.keys(old), ...Object.keys(now)])].sort()) {
      compare(old[key], now[key], [...path, key], report);
    }
    return;
  }
  if (JSON.stringify(old) === JSON.stringify(now) && !containsUnknown(now)) return;
  report(path, old === undefined ? "add" : now === undefined ? "delete" : "update");
}

function isAtOrBelow(path: string, prefix: string): boolean {
  return path === prefix || path.startsWith(`${prefix}.`) || path.startsWith(`${prefix}[`);
}
