import { isSandboxesError, SandboxesError } from "../../../provider/client/errors";
import type { GroupApi } from "../../../provider/client/sandboxApi";
import type { GroupRest } from "./groupRest";
import type { KnownSandbox, Ledger } from "./ledger";
import type { SeededRandom } from "./seededRandom";

/** Far above all limits of the host: what takes longer hangs. */
const hangsAfterMs = 300_000;
/** What may be answered while processes are killed; anything else is a finding. */
const expected = new Set(["HostUnavailable", "GuestFailed", "NotRunning", "InvalidState", "Conflict"]);

export interface CallerParts {
  name: string;
  group: GroupApi;
  rest: GroupRest;
  ledger: Ledger;
  random: SeededRandom;
  /** What sandboxes are made from. */
  baseImage: string;
  /** Makes another archive for an import; `isBroken`: one that is none. */
  makeArchive(name: string, isBroken: boolean): Promise<string>;
}

export type Outcome<T> = { value: T; error?: undefined } | { value?: undefined; error: SandboxesError };

/** Somebody who calls the host and notes what it answered. */
export class Caller {
  readonly parts: CallerParts;
  #count = 0;

  constructor(parts: CallerParts) {
    this.parts = parts;
  }

  /** What the host answered; an answer that is wrong whatever was killed is noted. */
  async call<T>(what: string, work: (signal: AbortSignal) => Promise<T>): Promise<Outcome<T>> {
    const limit = AbortSignal.timeout(hangsAfterMs);
    const { ledger } = this.parts;
    try {
      const value = await work(limit);
      ledger.count(`${what} ok`);
      return { value };
    } catch (error) {
      if (!isSandboxesError(error)) {
        this.violation(limit.aborted ? `${what} hangs` : `${what} failed with ${(error as Error)?.stack}`);
        return { error: new SandboxesError("Internal", String(error)) };
      }
      ledger.count(`${what} ${error.code}`);
      const isRace = error.code === "SandboxNotFound"; // Told apart by who calls.
      if (!expected.has(error.code) && !isRace) this.violation(`${what} was answered with ${error}`);
      return { error };
    }
  }

  shell(sandbox: KnownSandbox, command: string, what = "exec") {
    return this.call(what, (signal) =>
      this.parts.group.sandboxes.execShell(sandbox.id, { command, timeoutMs: 120_000 }, { signal }),
    );
  }

  /** Nobody else changes the sandbox meanwhile. */
  async alone(sandbox: KnownSandbox, work: () => Promise<void>): Promise<void> {
    sandbox.busy = true;
    await work();
    sandbox.busy = false;
  }

  violation(what: string): void {
    this.parts.ledger.violations.push(what);
  }

  nextName(): string {
    this.#count += 1;
    return `${this.parts.name}-${this.#count}`;
  }
}

/** Answers that say the state is as it was. */
export function isRefusal(error: SandboxesError): boolean {
  return ["NotRunning", "InvalidState", "SandboxNotFound"].includes(error.code);
}
