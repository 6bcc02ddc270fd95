import { randomUUID } from "node:crypto";

export type PlaneName = "control" | "data" | "authority";

/** A request as it came, read whole. */
export interface WireRequest {
  plane: PlaneName;
  method: string;
  path: string;
  query: URLSearchParams;
  headers: Record<string, string | string[] | undefined>;
  body: Buffer;
  apiVersion: string;
}

export interface WireReply {
  status: number;
  headers?: Record<string, string>;
  json?: unknown;
  bytes?: Buffer;
}

/** An error that the service answers; each plane and version has a form of its own for it. */
export class WireError extends Error {
  readonly status: number;
  readonly code: string;
  readonly errors: Record<string, string[]> | undefined;

  constructor(status: number, code: string, message: string, errors?: Record<string, string[]>) {
    super(message);
    this.status = status;
    this.code = code;
    this.errors = errors;
  }
}

export const older = "2026-02-01-preview";
export const newer = "2026-09-01-preview";

/** The older data plane answers problem+json, whose `errorCode` is a number; all else the envelope. */
export function renderError(request: WireRequest, error: WireError): WireReply {
  const { status, code, message, errors } = error;
  if (request.plane === "data" && request.apiVersion === older) {
    const trace = { traceId: `00-${randomUUID().replaceAll("-", "")}-00`, requestId: randomUUID() };
    const json = errors
      ? { title: "One or more validation errors occurred.", status, errors, ...trace }
      : {
          type: "about:blank",
          title: code,
          status,
          detail: message,
          errorCode: code === "FileNotFound" ? code : 1,
          ...trace,
        };
    return { status, headers: { "content-type": "application/problem+json; charset=utf-8" }, json };
  }
  const text = errors ? (Object.values(errors)[0]?.[0] ?? message) : message;
  return { status, json: { error: { code: errors ? "InvalidRequest" : code, message: text } } };
}

/** The JSON of a body; a body that is none is refused as Azure refuses it. */
export function jsonOf(request: WireRequest): unknown {
  if (!String(request.headers["content-type"]).startsWith("application/json")) {
    throw new WireError(415, "UnsupportedMediaType", "The content type is not application/json.");
  }
  try {
    return JSON.parse(request.body.toString("utf8"));
  } catch {
    throw new WireError(400, "InvalidRequest", "The JSON value could not be converted.", {
      $: ["The JSON value could not be converted."],
    });
  }
}
