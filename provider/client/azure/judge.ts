import { type Connection, groupsPath } from "../connection";
import { codeOf, type ErrorCode, SandboxesError } from "../errors";
import type { Answer, Judgement } from "../plane";
import type { RetryPolicy } from "../retry";
import { scrub } from "../secrets";
import { type ReadError, readErrorBody } from "../wire/errors";
import { controlHint, dataHint, roleHint } from "./hints";

/** Most roles work within a minute; 805 s have been seen once. */
const defaultRoleRetry: RetryPolicy = { attempts: 60, budgetMs: 180_000, baseMs: 2_000, maxMs: 10_000 };

/** 404s that tell of the request's way, not of the thing asked for: nothing may be forgotten because of them. */
const lostWay = new Set([
  "SubscriptionNotFound",
  "InvalidSubscriptionId",
  "InvalidResourceType",
  "InvalidResourceNamespace",
  "NoRegisteredProviderFound",
  "MissingSubscriptionRegistration",
]);

/** 409s by which a service refuses work while other work is under way. */
const busy = new Set(["AnotherOperationInProgress", "ConflictingOperation", "OperationPreempted", "RetryableError"]);

/** What answers of Azure Resource Manager mean. */
export function judgeControlPlane(connection: Connection): (answer: Answer, action: string) => Judgement {
  return (answer, action) => {
    const read = readErrorBody(answer.body);
    const error = azureFailure(answer, read, action, controlHint(answer.status, read, connection));
    return { error, repeat: repeatOf(answer.status, read) };
  };
}

/**
 * What answers of one group's data plane mean. A 403 without a body is a missing role, or one that has not taken effect
 * yet: all calls wait for it together, and once the wait is over in vain further calls fail at once.
 */
export class RoleWait {
  readonly #connection: Connection;
  readonly #group: string;
  readonly #policy: RetryPolicy;
  #refusedSince: number | undefined;

  constructor(connection: Connection, group: string, policy: RetryPolicy = defaultRoleRetry) {
    this.#connection = connection;
    this.#group = group;
    this.#policy = policy;
  }

  judge(answer: Answer, action: string): Judgement {
    const read = readErrorBody(answer.body);
    if (answer.status === 403 && answer.body === "") {
      this.#refusedSince ??= performance.now();
      const scope = `${groupsPath(this.#connection)}/${this.#group}`;
      const error = azureFailure(answer, { message: "access is refused without a reason" }, action, roleHint(scope));
      const over = performance.now() - this.#refusedSince > this.#policy.budgetMs;
      return { error, repeat: over ? "no" : "refused", policy: this.#policy };
    }
    const error = azureFailure(answer, read, action, dataHint(answer.status, read));
    return { error, repeat: repeatOf(answer.status, read) };
  }

  /** The role works. */
  granted(): void {
    this.#refusedSince = undefined;
  }
}

function azureFailure(answer: Answer, read: ReadError, action: string, hint: string | undefined): SandboxesError {
  const said = read.message ?? read.code ?? `HTTP status ${answer.status} without a reason`;
  return new SandboxesError(codeOfAnswer(answer, read), scrub(`Cannot ${action}: ${said}`), {
    status: answer.status,
    serviceCode: read.code,
    requestId: answer.serviceRequestId ?? read.requestId ?? read.traceId ?? answer.requestId,
    field: read.field,
    hint: hint ?? read.hint,
  });
}

function codeOfAnswer({ status, body }: Answer, read: ReadError): ErrorCode {
  if (status === 404) {
    if (read.code && lostWay.has(read.code)) return "Invalid";
    // "Gone" only in the words of the service itself: an error with a code, or a problem with a title.
    const isProblem = typeof body === "object" && body !== null && "title" in body;
    if (!read.code && !isProblem) return "HostUnavailable";
  }
  if (status === 504) return "Timeout";
  const code = codeOf(status, read.code);
  return code === "Internal" || (code === "HostUnavailable" && read.code) ? "ServiceFailed" : code;
}

function repeatOf(status: number, read: ReadError): Judgement["repeat"] {
  if (status === 429 || (status === 409 && read.code && busy.has(read.code))) return "refused";
  return status >= 500 && status !== 501 ? "unknown" : "no";
}
