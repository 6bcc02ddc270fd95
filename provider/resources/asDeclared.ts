import { isBag } from "../pulumi/propertyBag";

/**
 * What a service tells of something that it keeps as it was made, without what it filled in: whatever was declared has
 * its live value, and what the service does not tell, such as an environment, keeps the one declared.
 */
export function asDeclared(declared: unknown, live: unknown): unknown {
  if (declared === undefined) return live ?? undefined;
  if (live === undefined || live === null) return declared;
  if (isBag(declared) && isBag(live)) {
    return Object.fromEntries(Object.entries(declared).map(([key, value]) => [key, asDeclared(value, live[key])]));
  }
  if (Array.isArray(declared) && Array.isArray(live) && declared.length === live.length) {
    return declared.map((value, index) => asDeclared(value, live[index]));
  }
  return live;
}

/** A list whose order means nothing, in the order and the words in which it was declared; undefined when it is not told. */
export function listAsDeclared<Item>(
  declared: unknown,
  live: readonly Item[] | null | undefined,
  nameOf: (item: Item) => string,
): Item[] | undefined {
  const had = (Array.isArray(declared) ? declared : []) as Item[];
  if (!live || (live.length === 0 && declared === undefined)) return undefined;
  const isSame = (one: Item, other: Item) => nameOf(one).toLowerCase() === nameOf(other).toLowerCase();
  const kept = had.flatMap((item) => {
    const found = live.find((each) => isSame(each, item));
    return found === undefined ? [] : [(isBag(item) ? asDeclared(item, found) : item) as Item];
  });
  return [...kept, ...live.filter((item) => !had.some((each) => isSame(each, item)))];
}
