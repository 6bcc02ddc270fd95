import { isDeepStrictEqual } from "node:util";
import { SandboxesError } from "../../client/errors";
import type { EgressPolicy, EgressRule, HeaderTransform } from "../../client/wire/egress";
import { parseHostPattern } from "./hostPattern";
import { type EgressSection, nameOf, needsInspection } from "./policy";

const maxRules = 200;
const maxBytes = 256 * 1024;
const sectionFields = ["defaultAction", "hostRules", "rules", "trafficInspection", "enforcementMode"] as const;

/** Names of headers that frame a message or say where it goes: a rule that wrote them would smuggle. */
const framing = new Set([
  ...["host", "content-length", "transfer-encoding", "connection", "upgrade", "te", "trailer", "keep-alive", "expect"],
  ...["proxy-authorization", "proxy-connection"],
]);

export interface PolicyLimits {
  /** Whether a secret of that id (and key) can be read; undefined: this host has none. */
  hasSecret?: (secretId: string, key: string | null | undefined) => boolean;
}

/**
 * The rules of a policy that this host can enforce whole. Anything else is refused with the name of the rule and the
 * reason, since a rule that is only written down protects nobody.
 */
export function checkPolicy(policy: EgressPolicy, limits: PolicyLimits = {}): EgressSection {
  if (JSON.stringify(policy).length > maxBytes) {
    throw new SandboxesError("TooLarge", `The egress policy is larger than ${maxBytes} bytes`, {
      field: "egressPolicy",
    });
  }
  refuseOtherLayers(policy);
  const section = sectionOf(policy);
  const { hostRules, rules } = section;
  if ((hostRules?.length ?? 0) + (rules?.length ?? 0) > maxRules) {
    throw invalid("rules", `an egress policy has at most ${maxRules} rules`);
  }
  for (const [index, { pattern }] of (hostRules ?? []).entries()) {
    if (!parseHostPattern(pattern)) throw invalid(`hostRules[${index}]`, `"${pattern}" is no pattern for hosts`);
  }
  for (const [index, rule] of (rules ?? []).entries()) {
    const name = `rule "${nameOf(rule, index)}"`;
    checkRule(rule, name, limits);
    if (section.trafficInspection === "None" && needsInspection(rule)) {
      throw invalid(
        name,
        "it looks into https or changes it, and trafficInspection None forbids that: use Partial or Full",
      );
    }
  }
  return section;
}

/** The rules of a policy, wherever they stand. */
export function sectionOf(policy: EgressPolicy): EgressSection {
  const { http } = policy;
  if (!http) return policy;
  for (const field of sectionFields) {
    const outer = policy[field] ?? undefined;
    const inner = http[field] ?? undefined;
    // Clients that know one form only send the other back as they read it.
    if (outer !== undefined && !isDeepStrictEqual(outer, inner)) {
      throw invalid(field, "it stands beside and inside of http, and differs");
    }
  }
  return http;
}

function refuseOtherLayers({ tds, transportRules, http, trafficInspection }: EgressPolicy): void {
  if (tds) throw unsupported("tds", "this host lets no database protocol out of a sandbox, only HTTP and TLS");
  if (transportRules) throw unsupported("transportRules", "this host lets no bare TCP or UDP out of a sandbox");
  if ((trafficInspection ?? http?.trafficInspection) === "Legacy") {
    throw invalid("trafficInspection", "Legacy is not accepted any more: use Full, Partial or None");
  }
  if (http && "defaultForward" in http && http.defaultForward) {
    throw unsupported("http.defaultForward", "this host forwards to no other proxy");
  }
}

function checkRule(rule: EgressRule, name: string, limits: PolicyLimits): void {
  const { match, action, hookRef } = rule;
  if (!parseHostPattern(match.host)) throw invalid(name, `"${match.host}" is no pattern for hosts`);
  if (match.path && !match.path.startsWith("/") && !match.path.startsWith("*")) {
    throw invalid(name, `the path "${match.path}" does not begin with a slash`);
  }
  if (match.normalizePath === false) throw unsupported(name, "this host compares paths in every form they may have");
  if (hookRef) throw unsupported(name, "this host calls no hooks");
  if (rule.proxyActions?.length) throw unsupported(name, "this host has no proxyActions");
  if (!action) throw invalid(name, "it has no action");
  if (action.forwardProxy || (action.forward && action.forward !== "default" && action.forward !== "direct")) {
    throw unsupported(name, "this host forwards to no other proxy");
  }
  if (action.routingMode && action.routingMode !== "Default") {
    throw unsupported(name, `this host has no routing mode "${action.routingMode}"`);
  }
  for (const header of action.headers ?? []) checkHeader(header, name, limits);
  if (action.type === "Rewrite") checkRewrite(action, name);
}

function checkRewrite({ scheme, host, path }: NonNullable<EgressRule["action"]>, name: string): void {
  if (scheme && !/^https?$/i.test(scheme)) throw invalid(name, `"${scheme}" is not http or https`);
  if (host && (host.includes("*") || !parseHostPattern(host))) throw invalid(name, `"${host}" is no host`);
  if (path && !/^\/[\x21-\x7e]*$/.test(path)) throw invalid(name, `"${path}" is no path`);
}

function checkHeader(header: HeaderTransform, name: string, { hasSecret }: PolicyLimits): void {
  const { operation, value, valueRef } = header;
  if (!/^[!#$%&'*+.^_`|~0-9A-Za-z-]+$/.test(header.name)) throw invalid(name, `"${header.name}" is no header`);
  if (framing.has(header.name.toLowerCase()))
    throw invalid(name, `the header ${header.name} is not a rule's to change`);
  if (operation === "Remove") {
    if (value || valueRef) throw invalid(name, `removing the header ${header.name} takes no value`);
    return;
  }
  if (valueRef?.managedIdentityRef) throw unsupported(name, "this host has no managed identities");
  const secret = valueRef?.secretRef;
  if ((value === undefined || value === null) === !secret) {
    throw invalid(name, `the header ${header.name} needs one of value and valueRef`);
  }
  if (typeof value === "string" && /[^\t\x20-\x7e\x80-\xff]/.test(value)) {
    throw invalid(name, `the value of the header ${header.name} holds characters that no header may`);
  }
  if (!secret) return;
  if (!hasSecret) throw unsupported(name, "this host has no secrets");
  if (!hasSecret(secret.secretId, secret.secretKey)) {
    throw invalid(name, `the secret "${secret.secretId}" or its value does not exist`);
  }
}

function invalid(what: string, state: string): SandboxesError {
  return new SandboxesError("Invalid", `Cannot use the egress policy: ${what}: ${state}`, { field: "egressPolicy" });
}

function unsupported(what: string, state: string): SandboxesError {
  const message = `Cannot enforce the egress policy: ${what}: ${state}`;
  return new SandboxesError("Unsupported", message, { field: "egressPolicy" });
}
