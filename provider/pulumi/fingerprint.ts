import { createHash } from "node:crypto";
import { inputOf } from "./diffInputs";
import { canonical, type PropertyBag } from "./propertyBag";

/**
 * One value for the inputs that need a new object when they change; kept on the object, it tells a later process
 * whether an object found again is still the one wanted. Undefined when a secret is among them: a digest of a secret
 * on an object that others may list would let them guess it.
 */
export function fingerprintInputs(
  inputs: PropertyBag,
  replaceOn: readonly string[],
  secrets: readonly string[],
): string | undefined {
  const names = [...new Set(replaceOn.map(inputOf))].filter((name) => inputs[name] !== undefined);
  if (names.some((name) => secrets.includes(name))) return undefined;
  const relevant = canonical(Object.fromEntries(names.map((name) => [name, inputs[name]])));
  return createHash("sha256").update(JSON.stringify(relevant)).digest("hex").slice(0, 32);
}
