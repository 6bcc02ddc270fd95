import { z } from "zod";

/** Azure's limit; a longer value is refused with 400. */
export const maxLabelValueLength = 63;

/** Labels as the caller gives them. Keys are free (dots, slashes, capitals), values hold at most 63 characters. */
export const labels = z.record(z.string(), z.string()).superRefine((value, context) => {
  for (const [key, text] of Object.entries(value)) {
    if (key === "") context.addIssue({ code: "custom", path: [key], message: "a label key must not be empty" });
    if (text.length > maxLabelValueLength) {
      const message = `Label value for key '${key}' exceeds ${maxLabelValueLength} characters`;
      context.addIssue({ code: "custom", path: [key], message });
    }
  }
});

/** Labels as a service answers them: absent and null read as none. */
export const labelsView = z
  .record(z.string(), z.string())
  .nullish()
  .transform((value) => value ?? {});

export type Labels = Record<string, string>;

/**
 * The value of the `labels` query parameter: `k=v,k2=v2`. Azure has no escape, so a comma in a key or value cannot be
 * asked for; undefined then, and the caller filters by itself.
 */
export function formatLabelSelector(selector: Labels): string | undefined {
  const pairs = Object.entries(selector);
  if (pairs.some(([key, value]) => key.includes(",") || key.includes("=") || value.includes(","))) return undefined;
  return pairs.map(([key, value]) => `${key}=${value}`).join(",");
}

/** Reads `k=v,k2=v2`; each pair is split at its first `=`, a pair without one asks for an empty value. */
export function parseLabelSelector(text: string): Labels {
  const selector: Labels = {};
  for (const pair of text.split(",")) {
    if (pair === "") continue;
    const split = pair.indexOf("=");
    if (split < 0) selector[pair] = "";
    else selector[pair.slice(0, split)] = pair.slice(split + 1);
  }
  return selector;
}

/** True when every pair of the selector is among the labels. */
export function matchesLabels(all: Labels, selector: Labels): boolean {
  return Object.entries(selector).every(([key, value]) => Object.hasOwn(all, key) && all[key] === value);
}
