/** Limits of this process that are a matter of many seconds, in a fraction of it, until the returned function is called. */
export function hastyLimits(): () => void {
  const original = { setTimeout: globalThis.setTimeout, timeout: AbortSignal.timeout };
  const shorter = (ms = 0) => (ms >= 20_000 ? ms / 10 : ms);
  const hasty = (work: () => void, ms?: number, ...rest: []) => original.setTimeout(work, shorter(ms), ...rest);
  globalThis.setTimeout = Object.assign(hasty, original.setTimeout) as typeof setTimeout;
  AbortSignal.timeout = (ms) => original.timeout.call(AbortSignal, shorter(ms));
  return () => {
    globalThis.setTimeout = original.setTimeout;
    AbortSignal.timeout = original.timeout;
  };
}
