import type { EgressPolicy, EgressRule, HeaderTransform } from "../../client/wire/egress";
import { normalHost, parseHostPattern } from "./hostPattern";
import { pathMatcher } from "./pathPattern";

/** What is asked for. Of https a proxy knows the host only: method and path are undefined. */
export interface EgressRequest {
  scheme: "http" | "https";
  /** As `normalHost` gives it. */
  host: string;
  method?: string;
  path?: string;
}

export interface Verdict {
  /** What happens, audit mode considered. */
  allowed: boolean;
  /** What the rules say. */
  denied: boolean;
  /** The rule's name, `hostRules[0]` or `defaultAction`. */
  reason: string;
  headers?: HeaderTransform[];
  rewrite?: { scheme?: string; host?: string; path?: string };
}

/** A policy that can be asked. */
export interface CompiledPolicy {
  decide(request: EgressRequest): Verdict;
  /** False when no request of that scheme to that host can be let through, whatever its method and path. */
  mayAllow(scheme: EgressRequest["scheme"], host: string): boolean;
  /** False when nothing can ever leave: programs need not know of a proxy then. */
  allowsSomething: boolean;
}

export type EgressSection = Pick<EgressPolicy, "defaultAction" | "hostRules" | "rules" | "enforcementMode">;

interface CompiledRule {
  matches(request: EgressRequest): boolean;
  matchesHost(scheme: EgressRequest["scheme"], host: string): boolean;
  /** Looks at host and scheme only. */
  isPlain: boolean;
  verdict: Omit<Verdict, "allowed">;
}

/**
 * The first of `rules` that matches decides, then the first of `hostRules`, then `defaultAction`; without one: deny.
 * What `checkPolicy` would refuse is compiled so that it lets nothing through.
 */
export function compilePolicy({ defaultAction, hostRules, rules, enforcementMode }: EgressSection): CompiledPolicy {
  const compiled = [
    ...(rules ?? []).map(compileRule),
    ...(hostRules ?? []).map(({ pattern, action }, index) => {
      const matchesHost = parseHostPattern(pattern);
      const denied = action === "Deny";
      const matches = (host: string) => (matchesHost ? matchesHost(host) : denied);
      return {
        matches: ({ host }: EgressRequest) => matches(host),
        matchesHost: (_scheme: string, host: string) => matches(host),
        isPlain: true,
        verdict: { denied, reason: `hostRules[${index}]` },
      };
    }),
  ];
  const otherwise = { denied: defaultAction !== "Allow", reason: "defaultAction" };
  const isAudit = enforcementMode === "Audit";
  return {
    allowsSomething: isAudit || [...compiled.map(({ verdict }) => verdict), otherwise].some(({ denied }) => !denied),
    mayAllow: (scheme, host) => {
      const deciding = compiled.find(
        (rule) => rule.matchesHost(scheme, host) && (rule.isPlain || !rule.verdict.denied),
      );
      return isAudit || !(deciding?.verdict ?? otherwise).denied;
    },
    decide: (request) => {
      const verdict = compiled.find(({ matches }) => matches(request))?.verdict ?? otherwise;
      return { ...verdict, allowed: isAudit || !verdict.denied };
    },
  };
}

/** Azure: a rule without a scheme is for https, unless it denies. */
export function schemeOf({ match, action }: EgressRule): "http" | "https" | "any" {
  return match.scheme ?? (action?.type === "Deny" ? "any" : "https");
}

export function nameOf(rule: EgressRule, index: number): string {
  return rule.name || `rules[${index}]`;
}

function compileRule(rule: EgressRule, index: number): CompiledRule {
  const { match, action } = rule;
  const denied = !action || action.type === "Deny";
  const matchesHost = parseHostPattern(match.host);
  const matchesPath = match.path ? pathMatcher(match.path) : undefined;
  const methods = match.methods?.length ? match.methods.map((method) => method.toUpperCase()) : undefined;
  const scheme = schemeOf(rule);
  const fits = (asked: EgressRequest["scheme"], host: string) =>
    (scheme === "any" || scheme === asked) && (matchesHost ? matchesHost(host) : denied);
  const matches = (request: EgressRequest) => {
    if (!fits(request.scheme, request.host)) return false;
    // What cannot be seen counts as a match for a rule that denies, and as none for one that lets through.
    if (methods && !(request.method === undefined ? denied : methods.includes(request.method))) return false;
    return !matchesPath || (request.path === undefined ? denied : matchesPath(request.path, !denied));
  };
  const { scheme: toScheme, host, path } = action ?? {};
  const verdict: CompiledRule["verdict"] = { denied, reason: nameOf(rule, index) };
  if (action?.type === "Transform" || action?.type === "Rewrite") verdict.headers = action.headers ?? [];
  if (action?.type === "Rewrite") {
    verdict.rewrite = {
      ...(toScheme ? { scheme: toScheme } : {}),
      ...(host ? { host: normalHost(host) } : {}),
      ...(path ? { path } : {}),
    };
  }
  return { matches, matchesHost: fits, isPlain: !methods && !matchesPath, verdict };
}
