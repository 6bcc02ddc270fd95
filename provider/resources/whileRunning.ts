import type { SandboxesApi } from "../client/sandboxes";

const stoppedStates = new Set(["stopped", "suspended", "idle"]);

/** Does what a sandbox must run for. One that is stopped, by itself perhaps, is resumed and then stopped again. */
export async function whileRunning<T>(sandboxes: SandboxesApi, id: string, work: () => Promise<T>): Promise<T> {
  const { state } = await sandboxes.get(id);
  if (!stoppedStates.has(state.toLowerCase())) return work();
  await sandboxes.resume(id);
  try {
    return await work();
  } finally {
    // It may have been stopped or deleted meanwhile; what was wanted of it is done.
    await sandboxes.stop(id).catch(() => undefined);
  }
}
