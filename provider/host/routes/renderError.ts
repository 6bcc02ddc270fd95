import type { FastifyError, FastifyRequest } from "fastify";
import { ZodError } from "zod";
import { codeOf, isSandboxesError, SandboxesError } from "../../client/errors";
import type { ErrorBody } from "../../client/wire/errors";
import { isNewer, planeOf } from "./request";

export interface RenderedError {
  status: number;
  headers: Record<string, string>;
  body: object;
  /** True for faults of the host itself, whose details belong in the log only. */
  unexpected: boolean;
}

const retryAfterSeconds = "2";

/**
 * Any failure as the plane of its request says it: ARM's envelope, or for the data plane problem+json with the
 * envelope inside, so that every Azure SDK finds the code where it looks.
 */
export function renderError(error: unknown, request: FastifyRequest): RenderedError {
  const known = toSandboxesError(error, request.id);
  const fields = fieldErrors(error, known);
  const status = statusOf(known, request.method);
  const envelope = {
    code: known.serviceCode,
    message: known.message,
    ...(known.field === undefined ? {} : { target: known.field }),
    ...(known.hint === undefined ? {} : { hint: known.hint }),
  };
  const headers: Record<string, string> = {
    "content-type": "application/json; charset=utf-8",
    // All that a caller without a body sees, after HEAD.
    "x-ms-error-code": known.serviceCode,
  };
  if (status === 401) headers["www-authenticate"] = "Bearer";
  if (status === 429) headers["retry-after"] = retryAfterSeconds;
  const unexpected = known.code === "Internal";
  if (planeOf(request.url) !== "dataPlane") return { status, headers, body: { error: envelope }, unexpected };
  if (!isNewer(request)) headers["content-type"] = "application/problem+json; charset=utf-8";
  const body: ErrorBody = {
    type: "about:blank",
    title: fields ? "One or more validation errors occurred." : known.serviceCode,
    status,
    detail: known.message,
    errorCode: known.serviceCode,
    traceId: request.id,
    ...(fields ? { errors: fields } : {}),
    error: envelope,
  };
  return { status, headers, body, unexpected };
}

function toSandboxesError(error: unknown, requestId: string): SandboxesError {
  if (isSandboxesError(error)) return error;
  if (error instanceof ZodError) {
    const issue = error.issues[0];
    const field = issue?.path.join(".") || "body";
    return new SandboxesError("Invalid", `The request is malformed: ${field}: ${issue?.message}`, { field });
  }
  const status = (error as Partial<FastifyError> | null)?.statusCode;
  if (error instanceof Error && status !== undefined && status < 500) {
    return new SandboxesError(codeOf(status) === "Internal" ? "Invalid" : codeOf(status), error.message, { status });
  }
  return new SandboxesError("Internal", `The host failed unexpectedly; its log tells more under request ${requestId}`);
}

function fieldErrors(error: unknown, known: SandboxesError): Record<string, string[]> | undefined {
  if (error instanceof ZodError) {
    const fields: Record<string, string[]> = {};
    for (const issue of error.issues) {
      const field = issue.path.join(".") || "body";
      fields[field] = [...(fields[field] ?? []), issue.message];
    }
    return fields;
  }
  return known.status === 400 && known.field !== undefined ? { [known.field]: [known.message] } : undefined;
}

/** Azure's Python SDK runs a POST again after 500, 503 and 504; a create or an exec that may have run must not. */
function statusOf(error: SandboxesError, method: string): number {
  return method === "POST" && [500, 503, 504].includes(error.status) ? 502 : error.status;
}
