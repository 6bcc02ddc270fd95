import type { EgressPolicy, EgressRule, HeaderTransform } from "../../client/wire/egress";
import { normalHost, parseHostPattern } from "./hostPattern";
import { pathMatcher } from "./pathPattern";

/** What is asked for. Of https that is not looked into the host alone is known: method and path are undefined. */
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
  /** True when a rule for https to that host asks for more than the host, or changes requests: TLS is to be opened. */
  inspects(host: string): boolean;
  /** True when that can be so for any host. */
  inspectsSomething: boolean;
  /** False when nothing can ever leave: programs need not know of a proxy then. */
  allowsSomething: boolean;
}

export type EgressSection = Pick<
  EgressPolicy,
  "defaultAction" | "hostRules" | "rules" | "enforcementMode" | "trafficInspection"
>;

interface CompiledRule {
  matches(request: EgressRequest): boolean;
  matchesHost(scheme: EgressRequest["scheme"], host: string): boolean;
  /** Looks at host and scheme only. */
  isPlain: boolean;
  /** Has requests of https looked into. */
  inspects: boolean;
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
        inspects: false,
        verdict: { denied, reason: `hostRules[${index}]` },
      };
    }),
  ];
  const otherwise = { denied: defaultAction !== "Allow", reason: "defaultAction" };
  const isAudit = enforcementMode === "Audit";
  return {
    allowsSomething: isAudit || [...compiled.map(({ verdict }) => verdict), otherwise].some(({ denied }) => !denied),
    inspects: (host) => {
      const known = compiled.find((rule) => rule.matchesHost("https", host) && (rule.isPlain || rule.inspects));
      return known?.inspects ?? false;
    },
    inspectsSomething: compiled.some(({ inspects }) => inspects),
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
  const matchesPath = seesPath(rule) ? pathMatcher(match.path ?? "/") : undefined;
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
  const isPlain = !methods && !matchesPath;
  return { matches, matchesHost: fits, isPlain, inspects: needsInspection(rule), verdict };
}

/** Whether a rule asks of https what only a look into TLS can tell, or change. */
export function needsInspection(rule: EgressRule): boolean {
  const { match, action } = rule;
  const changes = action?.type === "Transform" || action?.type === "Rewrite";
  return schemeOf(rule) !== "http" && (changes || seesPath(rule) || (match.methods?.length ?? 0) > 0);
}

/** A pattern for every path says nothing. */
function seesPath({ match: { path } }: EgressRule): boolean {
  return Boolean(path) && path !== "*" && path !== "/*";
}
