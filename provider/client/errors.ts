/**
 * The one table of errors: what the host answers, what the client throws and what the command line prints are three
 * renderings of an entry here. Callers compare `code`, never the class: a second copy of this package may be loaded.
 */
export const errorCatalogue = {
  Invalid: { status: 400, wire: "InvalidRequest", meaning: "The request or property is malformed." },
  ImageNotFound: { status: 400, wire: "ImageNotFound", meaning: "No image of that name, reference or id exists." },
  Unauthorized: { status: 401, wire: "Unauthorized", meaning: "The token is missing, wrong or expired." },
  Forbidden: { status: 403, wire: "Forbidden", meaning: "The caller is known but may not do this." },
  NotFound: { status: 404, wire: "NotFound", meaning: "The resource does not exist." },
  GroupNotFound: { status: 404, wire: "ResourceNotFound", meaning: "The sandbox group does not exist." },
  SandboxNotFound: { status: 404, wire: "SandboxNotFound", meaning: "The sandbox does not exist." },
  FileNotFound: { status: 404, wire: "FileNotFound", meaning: "The path does not exist in the sandbox." },
  ProcessNotFound: { status: 404, wire: "ProcessNotFound", meaning: "No such program runs or ran in the background." },
  Conflict: { status: 409, wire: "Conflict", meaning: "The resource is in a state that does not allow this." },
  NotRunning: { status: 409, wire: "SandboxNotRunning", meaning: "The sandbox is not running." },
  InvalidState: { status: 409, wire: "InvalidSandboxState", meaning: "The sandbox is in another state than needed." },
  InUse: { status: 409, wire: "ResourceInUse", meaning: "Something still uses the resource." },
  FileConflict: { status: 409, wire: "FileConflict", meaning: "The path exists with another type, or is not empty." },
  TooLarge: { status: 413, wire: "PayloadTooLarge", meaning: "A body, file or output exceeds its limit." },
  CapacityExceeded: { status: 429, wire: "CapacityExceeded", meaning: "The host has no memory or processor left." },
  PoolExhausted: { status: 429, wire: "PoolExhausted", meaning: "The pool has no ready member." },
  IsolationUnavailable: {
    status: 422,
    wire: "IsolationUnavailable",
    meaning: "Hardware isolation was required and this host can only emulate.",
  },
  ImageInvalid: { status: 422, wire: "ImageInvalid", meaning: "The image is damaged, unsafe or of an unknown form." },
  // Not a 5xx: Azure's Python SDK repeats those for minutes, ten times over.
  RegistryFailed: { status: 424, wire: "RegistryFailed", meaning: "The registry refused or did not answer." },
  Unsupported: { status: 501, wire: "NotSupported", meaning: "This target cannot do that." },
  Timeout: { status: 408, wire: "Timeout", meaning: "A time limit ran out." },
  ExecFailed: { status: 422, wire: "ExecFailed", meaning: "The program could not be started, or failed when checked." },
  GuestFailed: { status: 502, wire: "GuestFailed", meaning: "The sandbox stopped answering." },
  ServiceFailed: {
    status: 502,
    wire: "ServiceFailed",
    meaning: "The service took the request and failed to carry it out.",
  },
  HostUnavailable: { status: 503, wire: "HostUnavailable", meaning: "The host cannot be reached or cannot start." },
  Internal: { status: 500, wire: "InternalError", meaning: "A fault of this software; please report it." },
} as const satisfies Record<string, { status: number; wire: string; meaning: string }>;

export type ErrorCode = keyof typeof errorCatalogue;

export interface ErrorDetails {
  /** HTTP status; the catalogue's unless the service answered another. */
  status?: number;
  /** The service's own code, where it differs from the catalogue's wire name. */
  serviceCode?: string;
  requestId?: string;
  /** Path of the offending field, `resources.cpu`. */
  field?: string;
  /** What the reader can do about it, one sentence. */
  hint?: string;
  cause?: unknown;
}

/** Every failure this package raises on purpose. `message` says what was tried, on what, and the state found. */
export class SandboxesError extends Error {
  readonly code: ErrorCode;
  readonly status: number;
  readonly serviceCode: string;
  readonly requestId: string | undefined;
  readonly field: string | undefined;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, details: ErrorDetails = {}) {
    super(message, details.cause === undefined ? undefined : { cause: details.cause });
    this.name = "SandboxesError";
    this.code = code;
    this.status = details.status ?? errorCatalogue[code].status;
    this.serviceCode = details.serviceCode ?? errorCatalogue[code].wire;
    this.requestId = details.requestId;
    this.field = details.field;
    this.hint = details.hint;
  }

  override toString(): string {
    const suffix = [this.hint, this.requestId && `request ${this.requestId}`].filter(Boolean).join("; ");
    return `${this.code}: ${this.message}${suffix ? ` (${suffix})` : ""}`;
  }
}

/** True for an error of this package, also one from another loaded copy of it; narrow by `code`. */
export function isSandboxesError(error: unknown, code?: ErrorCode): error is SandboxesError {
  return (
    error instanceof Error &&
    error.name === "SandboxesError" &&
    (code === undefined || (error as SandboxesError).code === code)
  );
}

const byWireName = new Map<string, ErrorCode>([
  ...Object.entries(errorCatalogue).map(([code, entry]) => [entry.wire, code] as [string, ErrorCode]),
  // What is in use is told by its kind.
  ["VolumeInUse", "InUse"],
  // So it is where the answer is a 400: to a creation.
  ["SnapshotNotFound", "NotFound"],
]);
const byStatus: Record<number, ErrorCode> = {
  400: "Invalid",
  401: "Unauthorized",
  403: "Forbidden",
  404: "NotFound",
  408: "Timeout",
  409: "Conflict",
  413: "TooLarge",
  429: "CapacityExceeded",
  501: "Unsupported",
  503: "HostUnavailable",
};

/** The catalogue's code for what a service answered; by the service's own code first, else by HTTP status. */
export function codeOf(status: number, serviceCode?: string): ErrorCode {
  return (serviceCode && byWireName.get(serviceCode)) || byStatus[status] || "Internal";
}
