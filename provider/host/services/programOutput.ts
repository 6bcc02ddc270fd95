import { setTimeout as sleep } from "node:timers/promises";
import { isSandboxesError } from "../../client/errors";
import { ownProgramId } from "../../client/wire/background";
import type { BackgroundOutput } from "../vm/guestBackground";
import type { BackgroundService } from "./background";
import type { SandboxService } from "./sandboxes";

/** A follower asks the guest that seldom whether it is still there. */
const waitMs = 30_000;
/** For a sandbox that is stopped, or whose program is about to be started. */
const againMs = 500;

export type OutputPart = BackgroundOutput["parts"][number];

export interface ReadOptions {
  tailLines?: number;
  follow: boolean;
  signal: AbortSignal;
}

/**
 * What the sandbox's own program has printed, of what is kept at most the last `tailLines` lines, and, if that is wanted,
 * what comes until it ends, the sandbox is gone, or `signal`; slow readers miss what the guest drops meanwhile. A follower
 * waits while the sandbox is stopped; others are told `NotRunning`.
 */
export async function* readProgramOutput(
  { background, sandboxes }: { background: BackgroundService; sandboxes: Pick<SandboxService, "stateOf" | "find"> },
  groupKey: string,
  id: string,
  { tailLines, follow, signal }: ReadOptions,
): AsyncGenerator<OutputPart> {
  let place = 0;
  let isFirst = true;
  while (!signal.aborted) {
    // Looking is no use of a sandbox.
    const wanted = { from: place, waitMs: follow && !isFirst ? waitMs : 0, isUse: false, caller: signal };
    const output = await background.output(groupKey, id, ownProgramId, wanted).catch((error: unknown) => {
      const state = sandboxes.stateOf(groupKey, id);
      if (state === undefined || state === "Deleting") return undefined;
      const mayCome = isSandboxesError(error, "ProcessNotFound") || (follow && isSandboxesError(error, "NotRunning"));
      if (!mayCome) throw error;
      return undefined;
    });
    if (!output) {
      // Gone, or without a program that could come.
      if (!follow || !sandboxes.find(groupKey, id)?.program?.argv.length) return;
      await sleep(againMs, undefined, { signal }).catch(() => undefined); // The caller left.
      continue;
    }
    yield* isFirst ? tail(output.parts, tailLines) : output.parts;
    isFirst = false;
    place = output.next;
    if (place === output.state.outputEnd && (!follow || output.state.ended)) return;
  }
}

/** The last lines, over both streams as they came. */
function tail(parts: OutputPart[], lines = Number.POSITIVE_INFINITY): OutputPart[] {
  const found: OutputPart[] = [];
  let left = lines;
  for (const part of [...parts].reverse()) {
    // The end of the last line begins no other.
    let end = found.length === 0 ? part.data.length - 1 : part.data.length;
    let at = end;
    while (left > 0 && at >= 0 && end > 0) {
      at = part.data.lastIndexOf(newline, end - 1);
      if (at >= 0) left -= 1;
      end = at;
    }
    if (left <= 0) return lines > 0 ? [{ ...part, data: part.data.subarray(at + 1) }, ...found] : [];
    found.unshift(part);
  }
  return found;
}

const newline = 0x0a;
