import { SandboxesError } from "../../client/errors";

/** A guest under emulation on a loaded machine answers within a second; one that takes this long is lost. */
export const answerWithinMs = 30_000;

/** Bounds a call that a guest should answer at once; rejects with `GuestFailed` when it does not. */
export async function answeredByGuest<Result>(
  sandboxId: string,
  work: (signal: AbortSignal) => Promise<Result>,
): Promise<Result> {
  const limit = AbortSignal.timeout(answerWithinMs);
  try {
    return await work(limit);
  } catch (error) {
    if (!limit.aborted) throw error;
    throw new SandboxesError("GuestFailed", `Sandbox '${sandboxId}' did not answer within ${answerWithinMs} ms`);
  }
}
