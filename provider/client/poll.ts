import { SandboxesError } from "./errors";
import { pause } from "./retry";

export interface PollOptions {
  signal?: AbortSignal;
  /** Limit of the whole wait. */
  timeoutMs: number;
  /** What is waited for, for the message: `disk image '…' to be ready`. */
  what: string;
  /** What the service asks to wait before the next question, if it did. */
  wishMs?: () => number | undefined;
}

const firstMs = 50;
const lastMs = 1_000;

/** Asks again and again, ever slower up to once a second, until `ask` gives a value other than undefined. */
export async function poll<T>(ask: () => Promise<T | undefined>, options: PollOptions): Promise<T> {
  const deadline = performance.now() + options.timeoutMs;
  for (let delay = firstMs; ; delay = Math.min(lastMs, delay * 1.5)) {
    const value = await ask();
    if (value !== undefined) return value;
    const wait = Math.max(delay, options.wishMs?.() ?? 0);
    if (performance.now() + wait > deadline) {
      throw new SandboxesError("Timeout", `Waited ${Math.round(options.timeoutMs / 1000)} s for ${options.what}`);
    }
    await pause(wait, options.signal);
  }
}
