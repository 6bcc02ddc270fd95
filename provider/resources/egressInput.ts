import { z } from "zod";
import type { EgressPolicyContent } from "../client/wire/egress";
import { canonical, definedOnly, isBag } from "../pulumi/propertyBag";
import { egressRule, forwardProxyInput, tdsInput, transportRulesInput } from "./egressRules";

const action = z.enum(["Allow", "Deny"]);

/** What a policy says, as inputs; the names are those of Azure's API. */
export const egressFields = {
  defaultAction: action.describe("what holds where no rule matches; default Deny").default("Deny"),
  hostRules: z
    .array(z.strictObject({ pattern: z.string().min(1), action: action.default("Allow") }))
    .describe("hosts by pattern, api.example.com or *.example.com; the first that matches decides")
    .optional(),
  rules: z.array(egressRule).describe("decide before hostRules, and may change requests on their way").optional(),
  enforcementMode: z.enum(["Enforced", "Audit"]).describe("Audit lets all through and records").optional(),
  trafficInspection: z.enum(["Partial", "Full", "None"]).describe("how far the target looks into traffic").optional(),
  defaultForward: forwardProxyInput.describe("another proxy that all requests go through: {url, ca}").optional(),
  transportRules: transportRulesInput.optional(),
  tds: tdsInput.optional(),
};

/** The way out of one sandbox. */
export const egressInput = z
  .strictObject(egressFields)
  .describe("what may leave the sandbox: HTTP and TLS to the hosts that rules allow");
export type EgressInput = z.output<typeof egressInput>;

/** For the wire. */
export function egressContent(input: EgressInput): EgressPolicyContent {
  const { defaultForward, transportRules, tds, ...http } = definedOnly(input);
  // Another proxy has a place in the section only.
  const section = defaultForward ? { http: { ...http, defaultForward } } : http;
  return definedOnly({ ...section, transportRules, tds }) as EgressPolicyContent;
}

/** The policy that a service tells, as inputs: services write null for what is not there. */
export function egressInputs(view: object | null | undefined): Record<string, unknown> | undefined {
  if (!view) return undefined;
  const { http, ...flat } = withoutNull(view) as Record<string, unknown>;
  const policy: Record<string, unknown> = { ...(isBag(http) ? http : {}), ...flat };
  if (Array.isArray(policy.rules)) policy.rules = policy.rules.map(withoutDefault);
  const known = Object.keys(egressFields).filter((key) => policy[key] !== undefined);
  // Every field is told, also as undefined: what somebody else removed must not look as if it were there.
  const all = Object.fromEntries(Object.keys(egressFields).map((key) => [key, undefined]));
  return { ...all, ...Object.fromEntries(known.map((key) => [key, policy[key]])) };
}

/** True when both mean the same: services write an empty list for none. */
export function isSamePolicy(one: object | undefined, other: object | undefined): boolean {
  const plain = (policy: object = {}) => {
    const entries = Object.entries(policy).filter(([, value]) => !(Array.isArray(value) && value.length === 0));
    return JSON.stringify(canonical(Object.fromEntries(entries)));
  };
  return plain(one) === plain(other);
}

/** Azure writes down that a rule forwards as usual. */
function withoutDefault(rule: unknown): unknown {
  if (!isBag(rule) || !isBag(rule.action) || rule.action.forward !== "default") return rule;
  const { forward, ...action } = rule.action;
  return { ...rule, action };
}

function withoutNull(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(withoutNull);
  if (!isBag(value)) return value;
  const entries = Object.entries(value).filter(([, item]) => item !== null && item !== undefined);
  return Object.fromEntries(entries.map(([key, item]) => [key, withoutNull(item)]));
}
