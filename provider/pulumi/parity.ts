import type { CheckFailure } from "./checkInputs";
import type { PropertyBag } from "./propertyBag";
import type { ProviderConfig, Target } from "./providerConfig";
import { unknownValue } from "./unknowns";

/** What one target makes of an input. */
export interface Support {
  support: "yes" | "partly" | "no";
  /** One line: what is different, or why it is refused. */
  text: string;
  /** For `partly`: whether this value is refused, beside those inputs. */
  refuses?(value: unknown, config: Pick<ProviderConfig, "apiVersion">, inputs: PropertyBag): boolean;
}

/** By input, where targets differ. */
export type Parity = Readonly<Record<string, Partial<Record<Target, Support>>>>;

/** What the target cannot honour of these inputs, each with its name and the reason. Unknowns pass. */
export function refusals(
  parity: Parity,
  target: Target,
  inputs: PropertyBag,
  config: Pick<ProviderConfig, "apiVersion">,
): CheckFailure[] {
  return Object.entries(parity).flatMap(([property, byTarget]) => {
    const support = byTarget[target];
    const value = inputs[property];
    if (!support || support.support === "yes" || value === undefined || value === unknownValue) return [];
    if (support.support === "partly" && !support.refuses?.(value, config, inputs)) return [];
    return [{ property, reason: `not on target ${target}: ${support.text}` }];
  });
}
