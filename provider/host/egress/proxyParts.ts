import type { Duplex } from "node:stream";
import { isSandboxesError } from "../../client/errors";
import type { EgressDecision } from "../store/egressDecisionStore";
import type { Authority } from "./authority";
import type { Dial } from "./dial";
import type { CompiledPolicy } from "./policy";

/** A sandbox as its proxy sees it. */
export interface ProxiedGuest {
  /** The policy that holds now. */
  policy(): CompiledPolicy;
  record(outcome: "allowed" | "denied", decision: Omit<EgressDecision, "timestamp">): void;
  /** Throws when there is none. */
  secret(secretId: string, key: string | null | undefined): string;
}

/** What is known of a connection from a guest. */
export interface GuestConnection {
  guest: ProxiedGuest;
  /** `host:port` of the tunnel in which it speaks HTTP. */
  authority?: string;
  /** It speaks TLS with us, which we opened. */
  isSecure?: boolean;
}

/** What a request is served with. */
export interface ProxyParts {
  dial: Dial;
  /** Made when the first guest needs it. */
  authority(): Authority;
  /** In place of the authorities that Node.js knows, PEM. */
  siteAuthorities?: string;
  tunnels: Set<Tunnel>;
  /** Serves HTTP that comes through a tunnel. */
  serveInside(socket: Duplex, connection: GuestConnection): void;
  failed(error: unknown): void;
}

/** An open way through the proxy that cannot be looked into. */
export interface Tunnel {
  guest: ProxiedGuest;
  host: string;
  close(): void;
}

/** What a program is told when it may not, or cannot, get where it wants. */
export function refusalOf(error: unknown, failed: (error: unknown) => void): { status: number; body: object } {
  if (isSandboxesError(error)) {
    return { status: error.status, body: { error: error.message, errorCode: error.serviceCode } };
  }
  failed(error);
  return { status: 502, body: { error: "The host failed unexpectedly", errorCode: "InternalError" } };
}
