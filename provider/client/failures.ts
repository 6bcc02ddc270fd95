import { codeOf, type ErrorCode, isSandboxesError, SandboxesError } from "./errors";
import type { Answer, Judgement } from "./plane";
import { scrub } from "./secrets";
import { type ReadError, readErrorBody } from "./wire/errors";

/** True when the service itself said that the thing asked for is not there: gone, not merely out of sight. */
export function isMissing(error: unknown): error is SandboxesError {
  return isSandboxesError(error) && error.status === 404 && missingCodes.has(error.code);
}

const missingCodes = new Set<ErrorCode>([
  "NotFound",
  "GroupNotFound",
  "SandboxNotFound",
  "ImageNotFound",
  "FileNotFound",
  "ProcessNotFound",
]);

/** What an answer of a self-hosted endpoint means; see `Plane`. */
export function judgeHost(answer: Answer, action: string): Judgement {
  const { status } = answer;
  const error = failureOf(answer, action);
  if (status === 429) return { error, repeat: "refused" };
  return { error, repeat: status === 502 || status === 503 || status === 504 ? "unknown" : "no" };
}

/** The error of an answer of status 400 and above. `action` reads on from "Cannot": `create a sandbox`. */
export function failureOf(answer: Answer, action: string): SandboxesError {
  const read = readErrorBody(answer.body);
  const said = read.message ?? read.code ?? `HTTP status ${answer.status} without a reason`;
  return new SandboxesError(codeOfAnswer(answer, read), scrub(`Cannot ${action}: ${said}`), {
    status: answer.status,
    serviceCode: read.code,
    requestId: answer.requestId,
    field: read.field,
    hint: read.hint ?? (answer.status === 401 ? "check SANDBOXES_TOKEN, or the token given to connect" : undefined),
  });
}

function codeOfAnswer({ status, body }: Answer, read: ReadError): ErrorCode {
  // A 404 that no sandbox service wrote (a proxy's page, an empty body) must never read as "gone": a deployment would
  // forget what still runs.
  if (status === 404 && !read.code && (typeof body !== "object" || body === null)) return "HostUnavailable";
  if (!read.code && status === 502) return "HostUnavailable";
  if (!read.code && status === 504) return "Timeout";
  return codeOf(status, read.code);
}

/** Which way a request failed before any answer; decides whether it may be sent again. */
export interface TransportFailure {
  error: SandboxesError;
  repeat: "no" | "refused" | "unknown";
}

/** The error of a request that got no answer. */
export function transportFailure(
  cause: unknown,
  action: string,
  endpoint: string,
  requestId: string,
): TransportFailure {
  const { code, syscall, message: unclean } = systemError(cause);
  const message = scrub(unclean);
  const details = { requestId, cause };
  if (code === "UND_ERR_HEADERS_TIMEOUT" || code === "UND_ERR_BODY_TIMEOUT") {
    return {
      error: new SandboxesError("Timeout", `Cannot ${action}: ${endpoint} did not answer`, details),
      repeat: "no",
    };
  }
  if (syscall === "connect" || code === "ENOTFOUND" || code === "EAI_AGAIN" || code === "UND_ERR_CONNECT_TIMEOUT") {
    const denied = code === "EACCES" || code === "EPERM";
    const text = `Cannot ${action}: ${endpoint} cannot be reached: ${code ?? message}`;
    const hint = denied ? "another user's host? it serves its own user only" : startHint(endpoint);
    const error = new SandboxesError("HostUnavailable", text, { ...details, hint });
    return { error, repeat: denied || code === "ENOTFOUND" ? "no" : "refused" };
  }
  if (code && /CERT|SELF_SIGNED|ERR_TLS|UNABLE_TO|HOSTNAME_MISMATCH/.test(code)) {
    const text = `Cannot ${action}: the certificate of ${endpoint} is not trusted: ${message}`;
    const hint = "point SANDBOXES_CA_FILE to the certificate authority of that host";
    return { error: new SandboxesError("HostUnavailable", text, { ...details, hint }), repeat: "no" };
  }
  const text = `Cannot ${action}: the connection to ${endpoint} was lost: ${message}`;
  return { error: new SandboxesError("HostUnavailable", text, details), repeat: "unknown" };
}

function startHint(endpoint: string): string {
  return endpoint.startsWith("unix:")
    ? "start it with `sandboxes host start`"
    : "is the address right and the host up?";
}

function systemError(cause: unknown): { code?: string; syscall?: string; message: string } {
  if (!(cause instanceof Error)) return { message: String(cause) };
  // Several addresses tried (IPv4 and IPv6): the first tells enough.
  const first = cause instanceof AggregateError && cause.errors[0] instanceof Error ? cause.errors[0] : cause;
  const { code, syscall } = first as NodeJS.ErrnoException;
  return { code, syscall, message: first.message };
}
