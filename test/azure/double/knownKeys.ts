/** Which keys a body may have, at every depth: "any" for what is not looked into; lists are looked into by their items. */
export type Keys = "any" | { readonly [key: string]: Keys };

export function keys(names: string): Record<string, "any"> {
  return Object.fromEntries(names.split(" ").map((name) => [name, "any"] as const));
}

/** Paths of the keys that are not known. */
export function unknownKeys(known: Keys, value: unknown, path = ""): string[] {
  if (known === "any" || typeof value !== "object" || value === null) return [];
  if (Array.isArray(value)) return value.flatMap((item, index) => unknownKeys(known, item, `${path}[${index}]`));
  return Object.entries(value).flatMap(([key, item]) => {
    const at = path ? `${path}.${key}` : key;
    return Object.hasOwn(known, key) ? unknownKeys(known[key]!, item, at) : [at];
  });
}
