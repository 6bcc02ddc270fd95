import { isSandboxesError, SandboxesError } from "../client/errors";
import type { CallOptions } from "../client/http";
import type { PortsApi } from "../client/ports";
import type { EgressDecisionView, EgressPolicyContent } from "../client/wire/egress";
import type { CreatePort, PortView } from "../client/wire/ports";

/**
 * How a port is open. Without `auth` it is `{anonymous: true}`: whoever reaches the address gets in, on a host of one's
 * own machine its users, on a host with TLS whoever reaches that host, on Azure everybody. `auth: {}` wants the token of
 * a self-hosted host as bearer token; `ipAccessControl` lets in by address.
 */
export type PortOptions = Omit<CreatePort, "port">;

/** A port by its number, or with how it is open. */
export type PortSpec = number | (PortOptions & { port: number });

/** Hosts that may be reached (`api.example.com`, `*.example.com`) and no others, or a whole policy. */
export type Egress = readonly string[] | EgressPolicyContent;

/** What was let out of a sandbox, or not. */
export interface EgressDecision {
  allowed: boolean;
  at: Date | undefined;
  scheme: string | undefined;
  host: string | undefined;
  method: string | undefined;
  path: string | undefined;
  /** The rule that decided; undefined where the service does not tell (Azure). */
  reason: string | undefined;
}

export function portContent(spec: PortSpec): CreatePort {
  return { auth: { anonymous: true }, ...(typeof spec === "number" ? { port: spec } : spec) };
}

export function egressContent(egress: Egress): EgressPolicyContent {
  if (!isHostList(egress)) return egress;
  return { defaultAction: "Deny", hostRules: egress.map((pattern) => ({ pattern, action: "Allow" })) };
}

function isHostList(egress: Egress): egress is readonly string[] {
  return Array.isArray(egress);
}

/** Opens a port and answers its address; one that is open already stays as it is. */
export async function openPort(ports: PortsApi, spec: PortSpec, options: CallOptions): Promise<string> {
  const content = portContent(spec);
  let views: PortView[];
  try {
    views = await ports.add(content, options);
  } catch (error) {
    if (!isSandboxesError(error, "Conflict")) throw error;
    views = await ports.list(options);
  }
  const url = views.find(({ port }) => port === content.port)?.url;
  if (url) return url;
  throw new SandboxesError("Internal", `Cannot open port ${content.port}: the service does not say where it is`);
}

export function decisionOf(allowed: boolean, view: EgressDecisionView): EgressDecision {
  const { timestamp, scheme, host, method, path, reason } = view;
  const text = (value: string | null | undefined) => value ?? undefined;
  return {
    allowed,
    at: timestamp ? new Date(timestamp) : undefined,
    ...{ scheme: text(scheme), host: text(host), method: text(method), path: text(path), reason: text(reason) },
  };
}
