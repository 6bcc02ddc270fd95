import { codeOf, SandboxesError } from "./errors";
import { isMissing } from "./failures";
import type { CallOptions, FullAnswer, HttpClient } from "./http";
import { poll } from "./poll";
import { readRetryAfter } from "./retry";
import { scrub } from "./secrets";
import { operationView } from "./wire/groups";

export interface OperationOptions extends CallOptions {
  /** Reads on from "Cannot": `create sandbox group "lab"`. */
  action: string;
  /** Limit of the whole wait. */
  timeoutMs: number;
}

/**
 * Follows a long-running operation of the control plane to its end, by the address in `Azure-AsyncOperation` or
 * `Location`. Answers false when the answer names none: the caller then looks at the resource itself. Rejects with the
 * service's reason when the operation failed. Of an address only path and query are used: the token goes nowhere else.
 */
export async function followOperation(
  http: HttpClient,
  first: FullAnswer,
  { action, timeoutMs, signal }: OperationOptions,
): Promise<boolean> {
  const address = first.headers["azure-asyncoperation"] ?? first.headers.location;
  if (!address) return false;
  const url = new URL(address, "http://localhost");
  let wish = readRetryAfter(first.headers["retry-after"]);
  const ask = async () => {
    const request = { method: "GET", path: url.pathname + url.search, action, signal } as const;
    const answer = await http.answer(request).catch(overIfForgotten);
    if (!answer) return true;
    wish = readRetryAfter(answer.headers["retry-after"]);
    const operation = operationView.safeParse(answer.body);
    // A `Location` answers 202 until the work is done, then whatever it likes.
    const status = operation.success ? operation.data.status : answer.status === 202 ? "InProgress" : "Succeeded";
    if (status === "Succeeded") return true;
    if (status !== "Failed" && status !== "Canceled") return undefined;
    const { code, message } = (operation.success && operation.data.error) || {};
    throw operationFailure(action, status, code, message, answer.requestId);
  };
  return poll(ask, { signal, timeoutMs, what: `the end of: ${action}`, wishMs: () => wish });
}

/** The error of an operation that was begun and failed. */
export function operationFailure(
  action: string,
  status: string,
  code: string | null | undefined,
  message: string | null | undefined,
  requestId?: string,
): SandboxesError {
  const known = code ? codeOf(500, code) : "Internal";
  const said = message ?? code ?? `the service says ${status} and no reason`;
  return new SandboxesError(known === "Internal" ? "ServiceFailed" : known, scrub(`Cannot ${action}: ${said}`), {
    serviceCode: code ?? undefined,
    requestId,
  });
}

/** An operation that the service no longer knows is over; how it ended shows on the resource. */
function overIfForgotten(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}
