import { z } from "zod";

const action = z.enum(["Allow", "Deny"]);
const text = z.string().nullish();

const headerTransform = z.looseObject({
  operation: z.enum(["Set", "Insert", "Remove"]),
  name: z.string().min(1),
  value: text,
  valueRef: z
    .looseObject({
      secretRef: z.looseObject({ secretId: z.string(), secretKey: text, format: text }).nullish(),
      managedIdentityRef: z.looseObject({}).nullish(),
    })
    .nullish(),
});
export type HeaderTransform = z.output<typeof headerTransform>;

const ruleAction = z.looseObject({
  type: z.enum(["Allow", "Deny", "Transform", "Rewrite"]),
  headers: z.array(headerTransform).nullish(),
  scheme: text,
  host: text,
  path: text,
  routingMode: text,
  forward: text,
  forwardProxy: z.looseObject({}).nullish(),
});

const rule = z.looseObject({
  name: text,
  match: z.looseObject({
    host: z.string(),
    path: text,
    methods: z.array(z.string()).nullish(),
    /** Default: `any` for Deny, `https` for all else. */
    scheme: z.enum(["http", "https", "any"]).nullish(),
    normalizePath: z.boolean().nullish(),
  }),
  action: ruleAction.nullish(),
  hookRef: z.looseObject({}).nullish(),
  proxyActions: z.array(z.string()).nullish(),
});
export type EgressRule = z.output<typeof rule>;

const section = {
  defaultAction: action.nullish(),
  hostRules: z.array(z.looseObject({ pattern: z.string(), action: action.nullish() })).nullish(),
  rules: z.array(rule).nullish(),
  trafficInspection: z.enum(["Legacy", "Partial", "Full", "None"]).nullish(),
  enforcementMode: z.enum(["Enforced", "Audit"]).nullish(),
};

/**
 * What may leave a sandbox: the first of `rules` that matches decides, then the first of `hostRules`, then the
 * `defaultAction`. The same fields may stand below `http`. Unknown fields are kept.
 */
export const egressPolicy = z.looseObject({
  ...section,
  http: z.looseObject(section).nullish(),
  tds: z.unknown().optional(),
  transportRules: z.unknown().optional(),
});
export type EgressPolicy = z.output<typeof egressPolicy>;
/** For those who write one. */
export interface EgressPolicyContent {
  defaultAction?: "Allow" | "Deny";
  hostRules?: { pattern: string; action?: "Allow" | "Deny" }[];
  rules?: {
    name?: string;
    match: {
      host: string;
      path?: string;
      methods?: string[];
      scheme?: "http" | "https" | "any";
      normalizePath?: boolean;
    };
    /** Or `hookRef`, on Azure. */
    action?: { type: "Allow" | "Deny" | "Transform" | "Rewrite"; [more: string]: unknown };
    hookRef?: object;
  }[];
  trafficInspection?: "Partial" | "Full" | "None";
  enforcementMode?: "Enforced" | "Audit";
  [more: string]: unknown;
}

/** `PUT G/egressPolicies/{id}`: a policy that sandboxes name by `egressPolicyId`. */
export const namedEgressPolicyContent = z.looseObject({ ...egressPolicy.shape, name: text, description: text });
export type NamedEgressPolicyContent = z.output<typeof namedEgressPolicyContent>;

export const namedEgressPolicyView = z.looseObject({
  ...egressPolicy.shape,
  id: z.string(),
  name: text,
  description: text,
  createdAt: text,
  updatedAt: text,
});
export type NamedEgressPolicyView = z.output<typeof namedEgressPolicyView>;

/** `{egressPolicies}` from the older data plane, `{value}` from the newer; reads to `{value}`. */
export const namedEgressPolicyPage = z
  .looseObject({
    egressPolicies: z.array(namedEgressPolicyView).nullish(),
    value: z.array(namedEgressPolicyView).nullish(),
    nextLink: text,
  })
  .transform(({ egressPolicies, value, nextLink }) => ({
    value: value ?? egressPolicies ?? [],
    nextLink: nextLink ?? undefined,
  }));

const decision = z.looseObject({
  timestamp: text,
  host: text,
  method: text,
  path: text,
  scheme: text,
  /** Extension: the rule that decided, `defaultAction`, or what the host itself refused. */
  reason: text,
  /** Extension: false for a denial that was let through by `enforcementMode: Audit`. */
  enforced: z.boolean().nullish(),
});
export type EgressDecisionView = z.output<typeof decision>;

const decisions = z.looseObject({ allowed: z.array(decision).nullish(), denied: z.array(decision).nullish() });

/** `GET …/egress-decisions`; the newer data plane says `http` for `networkEgress`. Reads to `{allowed, denied}`. */
export const egressDecisionsView = z
  .looseObject({ networkEgress: decisions.nullish(), http: decisions.nullish(), lastUpdated: text })
  .transform(({ networkEgress, http, lastUpdated }) => {
    const found = networkEgress ?? http;
    return { allowed: found?.allowed ?? [], denied: found?.denied ?? [], lastUpdated: lastUpdated ?? undefined };
  });
export type EgressDecisionsView = z.output<typeof egressDecisionsView>;
