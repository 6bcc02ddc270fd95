import type { IncomingHttpHeaders, ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { isSandboxesError, SandboxesError } from "../../client/errors";
import { without } from "../proxy/headers";
import type { PortRecord } from "../store/sandboxStore";
import { allowsAddress, carriesToken } from "./access";

/** A program may think for that long before it answers. */
export const answerWithinMs = 5 * 60_000;
/** A connection on which nothing moves. */
export const idleMs = 60 * 60_000;

export interface PortServerOptions {
  bindHost: string;
  /** 0: any that is free. */
  hostPort: number;
  /** What is spoken with callers and with the program; default `Http`. */
  protocol?: PortRecord["protocol"];
  tls?: { cert: string; key: string };
  /** The host's own token. */
  token: string | undefined;
  /** The port as declared now; undefined when it is gone. */
  declared(): PortRecord | undefined;
  /** A connection to the program; rejects with `NotRunning`, or with `Conflict` when nothing listens. */
  connect(onDemand: boolean, signal: AbortSignal): Promise<Duplex>;
  /** Tells of faults of the host. */
  failed(error: unknown): void;
}

/** What a caller is told that gets no answer from the program. */
export interface Refusal {
  status: number;
  body: object;
  headers?: string[];
}

/** Checks in this order, so that a caller who may not in neither learns of the sandbox nor wakes it. */
export function checkAccess(
  { token }: PortServerOptions,
  port: PortRecord | undefined,
  { address, headers }: { address: string | undefined; headers: Pick<IncomingHttpHeaders, "authorization"> },
): PortRecord {
  if (!port) throw refuse({ status: 404, body: { error: "There is no such port", errorCode: "PortNotFound" } });
  if (!allowsAddress(port.ipAccessControl, address)) {
    const error = "Access denied by IP access control policy";
    throw refuse({ status: 403, body: { error, errorCode: "IpAccessDenied" } });
  }
  if (port.auth.anonymous !== true && !(token && carriesToken(headers.authorization, token))) {
    throw refuse({
      status: 401,
      body: { error: "Unauthorized", message: "Authentication required" },
      headers: ["WWW-Authenticate", 'Bearer realm="sandboxes"'],
    });
  }
  return port;
}

/** The token is good for the whole host: the code in the sandbox must never see it. */
export function withoutToken(
  { token }: PortServerOptions,
  port: PortRecord,
  headers: readonly string[],
  authorization: string | undefined,
): string[] {
  const carries = token !== undefined && carriesToken(authorization, token);
  if (port.auth.anonymous === true && !carries) return [...headers];
  return without(headers, (name) => name === "authorization");
}

/** Aborts when the caller has left. */
export function abortOn(stream: Duplex | ServerResponse): AbortSignal {
  const controller = new AbortController();
  stream.once("close", () => controller.abort());
  return controller.signal;
}

/** Carries an answer as an error; `refusalOf` reads it. */
class Refused extends SandboxesError {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super("Forbidden", "refused", { status: refusal.status });
    this.refusal = refusal;
  }
}

export function refuse(refusal: Refusal): SandboxesError {
  return new Refused(refusal);
}

/** Azure's words for a sandbox that sleeps. */
export function refusalOf({ failed }: PortServerOptions, error: unknown): Refusal {
  if (error instanceof Refused) return error.refusal;
  if (isSandboxesError(error)) {
    if (error.code === "NotRunning" || error.code === "InvalidState") {
      return { status: 403, body: { error: "Sandbox is not running", errorCode: "SandboxNotRunning" } };
    }
    if (error.code === "SandboxNotFound") return { status: 404, body: { error: "Sandbox not found" } };
    if (error.code === "Conflict") {
      return { status: 502, body: { error: "Nothing listens on that port", errorCode: "PortNotListening" } };
    }
    if (error.code === "Timeout") return { status: 504, body: { error: "The sandbox did not answer in time" } };
    const isBusy = error.code === "CapacityExceeded";
    return { status: isBusy ? 503 : 502, body: { error: "The sandbox did not answer", errorCode: error.serviceCode } };
  }
  failed(error);
  return { status: 502, body: { error: "The host failed unexpectedly" } };
}
