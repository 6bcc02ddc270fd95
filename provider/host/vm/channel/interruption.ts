/** Lets one waiting be given up from outside, however many come after each other and however long it lives. */
export class Interruption {
  #reason: { error: unknown } | undefined;
  #giveUp: ((error: unknown) => void) | undefined;

  /** What is waited for now rejects with the error, and all that is later. The first one counts. */
  interrupt(error: unknown): void {
    this.#reason ??= { error };
    this.#giveUp?.(this.#reason.error);
  }

  /** As `work`, unless it is interrupted; the work itself goes on. One at a time. */
  wait<Result>(work: Promise<Result>): Promise<Result> {
    return new Promise((resolve, reject) => {
      work.then(resolve, reject);
      if (this.#reason) reject(this.#reason.error);
      else this.#giveUp = reject;
    });
  }
}
