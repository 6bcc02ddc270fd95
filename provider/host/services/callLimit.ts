import { SandboxesError } from "../../client/errors";

/** Breaks a call to a guest off: its caller has left, or the guest lets a limit pass. `end` it when the call is over. */
export class CallLimit {
  readonly #sandboxId: string;
  readonly #caller: AbortSignal;
  readonly #controller = new AbortController();
  readonly #leave = () => this.#controller.abort(this.#caller.reason);
  #timer: NodeJS.Timeout | undefined;

  constructor(sandboxId: string, caller: AbortSignal) {
    this.#sandboxId = sandboxId;
    this.#caller = caller;
    caller.addEventListener("abort", this.#leave, { once: true });
    if (caller.aborted) this.#leave();
  }

  get signal(): AbortSignal {
    return this.#controller.signal;
  }

  /** From now on, in place of an earlier one; put off for as long again while somebody else is the one to wait for. */
  within(ms: number, isExcused = () => false): void {
    this.lift();
    const expire = () => {
      if (isExcused()) return this.within(ms, isExcused);
      const message = `Sandbox '${this.#sandboxId}' did not answer within ${ms} ms`;
      this.#controller.abort(new SandboxesError("GuestFailed", message));
    };
    this.#timer = setTimeout(expire, ms).unref();
  }

  /** The guest may take its time again. */
  lift(): void {
    clearTimeout(this.#timer);
  }

  end(): void {
    this.lift();
    this.#caller.removeEventListener("abort", this.#leave);
  }
}
