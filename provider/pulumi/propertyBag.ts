/** Properties as the engine passes them: plain JSON values by name. */
export type PropertyBag = Record<string, unknown>;

/** True for a JSON object: neither null nor an array. */
export function isBag(value: unknown): value is PropertyBag {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}

/** The bag without members that are undefined. */
export function definedOnly<Bag extends object>(bag: Bag): Bag {
  return Object.fromEntries(Object.entries(bag).filter(([, value]) => value !== undefined)) as Bag;
}

/** True for two values that are the same, in whichever order their keys are; a member that is undefined is none. */
export function isSame(one: unknown, other: unknown): boolean {
  if (one === other) return true;
  if (Array.isArray(one)) {
    return Array.isArray(other) && one.length === other.length && one.every((item, at) => isSame(item, other[at]));
  }
  if (!isBag(one) || !isBag(other)) return false;
  return [...Object.keys(one), ...Object.keys(other)].every((key) => isSame(one[key], other[key]));
}

/** The same value with keys sorted and undefined members left out, so that equal bags have equal JSON. */
export function canonical(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(canonical);
  if (!isBag(value)) return value;
  const keys = Object.keys(value).filter((key) => value[key] !== undefined);
  return Object.fromEntries(keys.sort().map((key) => [key, canonical(value[key])]));
}

/** `tags.team`, `labels["a.b"]`, `cmd[1]`: a path as Pulumi writes it. */
export function propertyPath(path: readonly PropertyKey[]): string {
  return path.reduce<string>((text, part) => {
    if (typeof part === "number") return `${text}[${part}]`;
    if (!/^[A-Za-z_$][\w$-]*$/.test(String(part))) return `${text}["${String(part)}"]`;
    return text === "" ? String(part) : `${text}.${String(part)}`;
  }, "");
}
