import { setTimeout as sleep } from "node:timers/promises";

/**
 * How an attempt went. `refused`: surely without effect (not connected, 429), so anything may be sent again.
 * `unknown`: it may have had its effect (502, 503, 504, connection lost), so only repeatable requests may be.
 */
export type Attempt<T> =
  | { value: T }
  | {
      error: unknown;
      repeat: "no" | "refused" | "unknown";
      /** The service's own wish. */
      afterMs?: number;
      /** In place of the usual one, for a failure that takes another time to pass. */
      policy?: RetryPolicy;
    };

export interface RetryPolicy {
  /** Attempts in all, the first included. */
  attempts: number;
  /** All waiting together; a longer `Retry-After` ends it at once. */
  budgetMs: number;
  baseMs: number;
  maxMs: number;
}

/** Rides out a restart of the host (about a second) and short throttling; not an outage. */
export const defaultRetryPolicy: RetryPolicy = { attempts: 6, budgetMs: 20_000, baseMs: 100, maxMs: 5_000 };

export interface RetryOptions {
  /** True when doing it twice is the same as doing it once. */
  repeatable: boolean;
  policy?: RetryPolicy;
  signal?: AbortSignal;
  random?: () => number;
}

/** Runs attempts until one succeeds, may not be repeated, or the policy is used up; then throws the last error. */
export async function withRetry<T>(attempt: () => Promise<Attempt<T>>, options: RetryOptions): Promise<T> {
  const { repeatable, policy: usual = defaultRetryPolicy, signal, random = Math.random } = options;
  let waited = 0;
  for (let count = 1; ; count++) {
    const result = await attempt();
    if ("value" in result) return result.value;
    const policy = result.policy ?? usual;
    const allowed = result.repeat === "refused" || (result.repeat === "unknown" && repeatable);
    if (!allowed || count >= policy.attempts) throw result.error;
    // Half fixed, half random: clients that failed together do not come back together.
    const step = Math.min(policy.maxMs, policy.baseMs * 2 ** (count - 1));
    const least = result.afterMs ?? step / 2;
    if (waited + least > policy.budgetMs) throw result.error;
    // The jitter keeps within the budget, for the sake of those that the service told to come exactly then.
    const delay = least + random() * Math.min(step / 2, policy.budgetMs - waited - least);
    waited += delay;
    await pause(delay, signal);
  }
}

/** Waits; rejects with the signal's own reason when it fires. */
export async function pause(ms: number, signal?: AbortSignal): Promise<void> {
  signal?.throwIfAborted();
  try {
    await sleep(ms, undefined, { signal });
  } catch (error) {
    signal?.throwIfAborted();
    throw error;
  }
}

/** `Retry-After`: seconds or a date; undefined when absent or senseless. */
export function readRetryAfter(header: string | undefined, now = Date.now()): number | undefined {
  if (!header) return undefined;
  const seconds = Number(header);
  const ms = Number.isFinite(seconds) ? seconds * 1000 : Date.parse(header) - now;
  return Number.isFinite(ms) ? Math.max(0, ms) : undefined;
}
