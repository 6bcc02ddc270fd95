/** Keeps what is in use from being removed, and what is being removed from being used: for each key one or the other. */
export class HeldKeys {
  readonly #held = new Map<string, number>();
  readonly #removals = new Map<string, Promise<unknown>>();

  /** Until the returned function is called, which is repeatable, nothing removes the key; waits for a removal under way. */
  async hold(key: string): Promise<() => void> {
    while (this.#removals.has(key)) await this.#removals.get(key);
    this.#held.set(key, (this.#held.get(key) ?? 0) + 1);
    let isHeld = true;
    return () => {
      if (isHeld) this.#release(key);
      isHeld = false;
    };
  }

  isHeld(key: string): boolean {
    return this.#held.has(key);
  }

  /** Runs `remove` while nobody can begin to use the key; undefined, and nothing done, where somebody does already. */
  async unlessHeld<T>(key: string, remove: () => Promise<T>): Promise<T | undefined> {
    while (this.#removals.has(key)) await this.#removals.get(key);
    if (this.#held.has(key)) return undefined;
    const removal = remove();
    const settled = removal.then(
      () => this.#removals.delete(key),
      () => this.#removals.delete(key),
    );
    this.#removals.set(key, settled);
    return removal;
  }

  #release(key: string): void {
    const count = (this.#held.get(key) ?? 0) - 1;
    if (count > 0) this.#held.set(key, count);
    else this.#held.delete(key);
  }
}
