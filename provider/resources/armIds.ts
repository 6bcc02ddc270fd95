/** ARM answers ids in any mixture of cases. */
export function isSameArmId(one: string, other: string): boolean {
  return one.toLowerCase() === other.toLowerCase();
}

/** A live id in the spelling of the state, when it is the same. */
export function spelledAs(was: unknown, live: string): string {
  return typeof was === "string" && isSameArmId(was, live) ? was : live;
}
