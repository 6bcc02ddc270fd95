/**
 * Lets so many pieces of work run at once and the others wait in order of arrival: more boots at once than cores make
 * all of them late instead of some of them early, and more requests at once than a service takes are refused.
 */
export interface Slots {
  readonly waiting: number;
  readonly running: number;
  /** Rejects with the signal's reason when it is aborted before the work's turn has come. */
  run<T>(work: () => Promise<T>, signal?: AbortSignal): Promise<T>;
}

export function createSlots(limit: number): Slots {
  const queue: (() => void)[] = [];
  let running = 0;

  const leave = (): void => {
    const next = queue.shift();
    // The slot passes on without becoming free: a newcomer cannot overtake.
    if (next) next();
    else running--;
  };

  const enter = (signal?: AbortSignal): Promise<void> => {
    signal?.throwIfAborted();
    if (running < limit) {
      running++;
      return Promise.resolve();
    }
    return new Promise((resolve, reject) => {
      const admit = (): void => {
        signal?.removeEventListener("abort", giveUp);
        resolve();
      };
      const giveUp = (): void => {
        queue.splice(queue.indexOf(admit), 1);
        reject(signal?.reason);
      };
      queue.push(admit);
      signal?.addEventListener("abort", giveUp, { once: true });
    });
  };

  return {
    get waiting() {
      return queue.length;
    },
    get running() {
      return running;
    },
    async run(work, signal) {
      await enter(signal);
      try {
        return await work();
      } finally {
        leave();
      }
    },
  };
}
