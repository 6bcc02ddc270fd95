/** Runs work on one key after the other, different keys at once. */
export class Serial {
  readonly #tails = new Map<string, Promise<unknown>>();

  /** Settles as `work` does. */
  run<Result>(key: string, work: () => Promise<Result>): Promise<Result> {
    const before = this.#tails.get(key) ?? Promise.resolve();
    const result = before.then(work, work);
    const tail = result.catch(() => undefined); // Its caller hears of the failure; the next in line only waits.
    this.#tails.set(key, tail);
    void tail.then(() => this.#tails.get(key) === tail && this.#tails.delete(key));
    return result;
  }
}
