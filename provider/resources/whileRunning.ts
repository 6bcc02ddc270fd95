import { poll } from "../client/poll";
import type { SandboxesApi } from "../client/sandboxes";

const stoppedStates = new Set(["stopped", "suspended", "idle"]);

/** Azure was seen to take more than four minutes for a stop of a large sandbox. */
const stopTimeoutMs = 15 * 60_000;

/** Does what a sandbox must run for. One that is stopped, by itself perhaps, is resumed and then stopped again. */
export async function whileRunning<T>(sandboxes: SandboxesApi, id: string, work: () => Promise<T>): Promise<T> {
  if (!stoppedStates.has(await settledState(sandboxes, id))) return work();
  await sandboxes.resume(id);
  try {
    return await work();
  } finally {
    // It may have been stopped or deleted meanwhile; what was wanted of it is done.
    await sandboxes.stop(id).catch(() => undefined);
  }
}

/** Its state, once it is not about to stop any more. */
function settledState(sandboxes: SandboxesApi, id: string): Promise<string> {
  const ask = async () => {
    const state = (await sandboxes.get(id)).state.toLowerCase();
    return state === "stopping" ? undefined : state;
  };
  return poll(ask, { timeoutMs: stopTimeoutMs, what: `sandbox "${id}" to have stopped` });
}
