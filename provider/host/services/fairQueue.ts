/** Lets so many pieces of work run at once. The others wait by who they are for, and one of each goes in turn. */
export interface FairQueue {
  readonly running: number;
  readonly waiting: number;
  /** Rejects with the signal's reason when it is aborted before the work's turn has come. */
  run<Result>(owner: string, work: () => Promise<Result>, signal?: AbortSignal): Promise<Result>;
}

/** Within one owner first come, first served: a hundred starts of one hold up the first of another by one start. */
export function createFairQueue(limit: number): FairQueue {
  // In the order in which the owners' turns come; none without work.
  const lines = new Map<string, (() => void)[]>();
  let running = 0;

  const leave = (): void => {
    const [owner, line] = lines.entries().next().value ?? [];
    if (owner === undefined || line === undefined) {
      running--;
      return;
    }
    const admit = line.shift();
    lines.delete(owner);
    if (line.length > 0) lines.set(owner, line);
    // The place passes on without becoming free: a newcomer cannot overtake.
    admit?.();
  };

  const enter = (owner: string, signal?: AbortSignal): Promise<void> => {
    signal?.throwIfAborted();
    if (running < limit) {
      running++;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const line = lines.get(owner) ?? [];
      const admit = (): void => {
        signal?.removeEventListener("abort", giveUp);
        resolve();
      };
      const giveUp = (): void => {
        line.splice(line.indexOf(admit), 1);
        if (line.length === 0) lines.delete(owner);
        reject(signal?.reason);
      };
      line.push(admit);
      lines.set(owner, line);
      signal?.addEventListener("abort", giveUp, { once: true });
    });
  };

  return {
    get running() {
      return running;
    },
    get waiting() {
      return [...lines.values()].reduce((sum, line) => sum + line.length, 0);
    },
    async run(owner, work, signal) {
      await enter(owner, signal);
      try {
        return await work();
      } finally {
        leave();
      }
    },
  };
}
