import { setTimeout as sleep } from "node:timers/promises";
import type { ImageLimits } from "../imageLimits";
import { PassingFailure } from "./registryError";

/** A registry that asks for more patience than this is given up. */
const maxPauseMs = 60_000;

/** Does a small thing again, `limits.tries` times in all, while it fails in a way that may pass. */
export async function withRetries<T>(limits: ImageLimits, signal: AbortSignal, work: () => Promise<T>): Promise<T> {
  for (let failures = 1; ; failures++) {
    try {
      return await work();
    } catch (error) {
      signal.throwIfAborted();
      if (!(error instanceof PassingFailure) || failures >= limits.tries) throw error;
      await pauseAfter(failures, error, limits, signal);
    }
  }
}

/** Twice as long after each failure, or as long as the registry asked for. */
export async function pauseAfter(
  failures: number,
  failure: PassingFailure,
  limits: ImageLimits,
  signal: AbortSignal,
): Promise<void> {
  const ownMs = limits.retryPauseMs * 2 ** (failures - 1) * (1 + Math.random() / 4);
  const askedMs = failure.retryAfterMs ?? 0;
  if (askedMs > maxPauseMs) throw failure;
  await sleep(Math.max(ownMs, askedMs), undefined, { signal });
}
