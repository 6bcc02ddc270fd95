import { isSame, type PropertyBag } from "./propertyBag";
import type { ProviderConfig, Target } from "./providerConfig";
import type { Session } from "./session";
import { containsUnknown } from "./unknowns";

/** What tells without a resource's schemas that nothing of it has changed. */
export interface ResourceRules {
  /** All of the schema's. Keys in `__` are hidden; `target` or `__target` is where the resource's target is kept. */
  inputNames: readonly string[];
  /** Inputs that the service fills in when the user leaves them out; leaving them out is then no change. */
  computed?: readonly string[];
  /** Defaults and spellings, by target; unknowns may be among the inputs. Repeatable. */
  fillIn?(inputs: PropertyBag, target: Target, config: ProviderConfig): PropertyBag;
  /** A path to name as the reason when the object, as its outputs tell it, can only be made anew. */
  brokenBy?(olds: PropertyBag): string | undefined;
}

/** The input in which a resource's target is kept. */
export function targetKeyOf(inputNames: readonly string[]): string | undefined {
  return ["target", "__target"].find((key) => inputNames.includes(key));
}

/** A resource's own target, else by its id or its group's. */
export function targetOf(
  session: Session,
  targetKey: string | undefined,
  bag: PropertyBag,
  id: unknown = bag.group,
): Target {
  const said = targetKey && bag[targetKey];
  return said === "microvm" || said === "azure" ? said : session.targetOf(id);
}

/**
 * True when a check of `news` gives `olds`, the inputs that a check gave before: they are the same but for what is
 * filled in. A check is repeatable, so what it once gave it gives again; what was accepted and is there stays.
 */
export function isCheckedAlready(
  rules: ResourceRules,
  session: Session,
  olds: PropertyBag,
  news: PropertyBag,
): boolean {
  const targetKey = targetKeyOf(rules.inputNames);
  const target = targetOf(session, targetKey, news);
  const filled = rules.fillIn?.(news, target, session.config) ?? news;
  return isSame(targetKey ? { ...filled, [targetKey]: target } : filled, olds) && !containsUnknown(olds);
}

/** True when a comparison of the state with checked inputs, canonical or not, finds nothing to do. */
export function isUnchanged(
  rules: ResourceRules,
  session: Session,
  id: string,
  olds: PropertyBag,
  news: PropertyBag,
): boolean {
  const { inputNames, computed = [] } = rules;
  if (rules.brokenBy?.(olds) !== undefined || containsUnknown(news)) return false;
  const targetKey = targetKeyOf(inputNames);
  const known = targetKey ? { ...olds, [targetKey]: targetOf(session, targetKey, olds, id) } : olds;
  return inputNames.every((name) => {
    const isLeft = computed.includes(name) && news[name] === undefined;
    return name.startsWith("__") || isLeft || isSame(known[name], news[name]);
  });
}
