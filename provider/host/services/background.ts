import { isSandboxesError, SandboxesError } from "../../client/errors";
import type { BackgroundOutput, BackgroundState } from "../vm/guestBackground";
import { answeredByGuest } from "./guestLimit";
import type { SandboxService } from "./sandboxes";

export interface BackgroundInput {
  argv: string[];
  environment?: Record<string, string> | null;
  workingDirectory?: string | null;
  user?: string | null;
  timeoutMs?: number | null;
  /** Resumes a stopped sandbox first. */
  activate?: boolean;
}

/** Most of the output that one answer has: as much as a guest keeps. */
const answerBytes = 256 * 1024;
/** Exec's, for the same reason. */
const maxTimeoutMs = 24 * 3600_000;

type Sandboxes = Pick<SandboxService, "running" | "observed" | "environment" | "hold" | "stateOf">;

/** Programs in the background of sandboxes. The guests keep them: nothing of them is remembered here. */
export class BackgroundService {
  readonly #sandboxes: Sandboxes;

  constructor(parts: { sandboxes: Sandboxes }) {
    this.#sandboxes = parts.sandboxes;
  }

  /** Repeatable: where that name was started before, nothing is. */
  async start(groupKey: string, id: string, name: string, input: BackgroundInput): Promise<BackgroundState> {
    const { record, vm } = await this.#sandboxes.running(groupKey, id, input.activate);
    const { program } = record;
    const env = { ...(await this.#sandboxes.environment(record)), ...program?.env, ...input.environment };
    const request = {
      argv: input.argv,
      env,
      cwd: input.workingDirectory || program?.workingDirectory,
      user: input.user || program?.user,
      timeoutMs: input.timeoutMs ? Math.min(input.timeoutMs, maxTimeoutMs) : undefined,
    };
    return this.#asked(groupKey, record.id, (signal) => vm.agent.background.start(name, request, { signal }));
  }

  /** Looking is no use of a sandbox. */
  async list(groupKey: string, id: string): Promise<BackgroundState[]> {
    const { record, vm } = this.#sandboxes.observed(groupKey, id);
    return this.#asked(groupKey, record.id, (signal) => vm.agent.background.list({ signal }));
  }

  /** Throws `ProcessNotFound`. */
  async get(groupKey: string, id: string, name: string): Promise<BackgroundState> {
    const found = (await this.list(groupKey, id)).find((state) => state.name === name);
    if (found) return found;
    throw new SandboxesError("ProcessNotFound", `There is no background process "${name}" in sandbox '${id}'`, {
      hint: "the newest 64 are kept, until they are removed",
    });
  }

  /**
   * What it printed from that place on, as much as one answer has. Waits up to `waitMs` for something new; `caller` ends
   * the wait, which is a use of the sandbox if `isUse`.
   */
  async output(
    groupKey: string,
    id: string,
    name: string,
    { from, waitMs, isUse, caller }: { from: number; waitMs: number; isUse: boolean; caller: AbortSignal },
  ): Promise<BackgroundOutput> {
    const { record, vm } = this.#sandboxes.observed(groupKey, id);
    const { background } = vm.agent;
    const release = isUse && waitMs > 0 ? this.#sandboxes.hold(record.id) : () => undefined;
    try {
      const ask = (place: number) =>
        this.#asked(groupKey, record.id, (signal) => background.read(name, place, { signal }));
      const waited = async () => {
        const over = AbortSignal.any([caller, AbortSignal.timeout(waitMs)]);
        return background.read(name, from, { wait: true, signal: over }).catch((error: unknown) => {
          // Nothing new came: what is there is told.
          if (!over.aborted) throw this.#explained(groupKey, record.id, error);
        });
      };
      const first = async () => (waitMs > 0 && (await waited())) || ask(from);
      const whole = await first().catch((error: unknown) => {
        throw isSandboxesError(error, "Invalid") ? beyondEnd(name, from) : error;
      });
      let bytes = whole.next - whole.from;
      while (bytes < answerBytes && whole.next < whole.state.outputEnd) {
        const more = await ask(whole.next);
        // What came between was dropped meanwhile: that is for another answer to tell.
        if (more.from !== whole.next) break;
        whole.parts.push(...more.parts);
        bytes += more.next - whole.next;
        whole.next = more.next;
        whole.state = more.state;
      }
      return whole;
    } finally {
      release();
    }
  }

  async kill(groupKey: string, id: string, name: string, signalName: string): Promise<void> {
    const { record, vm } = await this.#sandboxes.running(groupKey, id);
    await this.#asked(groupKey, record.id, (signal) => vm.agent.background.kill(name, signalName, { signal }));
  }

  async remove(groupKey: string, id: string, name: string): Promise<void> {
    const { record, vm } = await this.#sandboxes.running(groupKey, id);
    await this.#asked(groupKey, record.id, (signal) => vm.agent.background.remove(name, { signal }));
  }

  /** A question that a guest answers at once. */
  async #asked<Result>(groupKey: string, id: string, ask: (signal: AbortSignal) => Promise<Result>): Promise<Result> {
    try {
      return await answeredByGuest(id, ask);
    } catch (error) {
      throw this.#explained(groupKey, id, error);
    }
  }

  #explained(groupKey: string, id: string, error: unknown): unknown {
    if (!isSandboxesError(error, "GuestFailed")) return error;
    const state = this.#sandboxes.stateOf(groupKey, id);
    if (state !== "Stopping" && state !== "Stopped") return error;
    return new SandboxesError("NotRunning", `Sandbox '${id}' was stopped`, {
      hint: "its programs go on when it is resumed, and what they printed is kept",
    });
  }
}

function beyondEnd(name: string, from: number): SandboxesError {
  return new SandboxesError("Invalid", `The output of background process "${name}" does not reach ${from}`, {
    field: "from",
    hint: "read on from `next` of an earlier answer, or from 0",
  });
}
