/** Work that is done once however many ask for it at the same time, and given up when the last of them has. */
export interface SharedWork<T> {
  run(key: string, work: Work<T>, options?: WaitOptions): Promise<T>;
  /** Gives all work up and waits for its end. */
  close(): Promise<void>;
}

export interface WaitOptions {
  signal?: AbortSignal;
  onProgress?: (message: string) => void;
}

type Work<T> = (signal: AbortSignal, report: (message: string) => void) => Promise<T>;

interface Entry<T> {
  result: Promise<T>;
  giveUp: AbortController;
  waiters: Set<WaitOptions>;
}

export function createSharedWork<T>(): SharedWork<T> {
  const entries = new Map<string, Entry<T>>();

  const begin = (key: string, work: Work<T>): Entry<T> => {
    const giveUp = new AbortController();
    const waiters = new Set<WaitOptions>();
    const report = (message: string): void => {
      for (const waiter of waiters) waiter.onProgress?.(message);
    };
    const result = work(giveUp.signal, report).finally(() => {
      if (entries.get(key) === entry) entries.delete(key);
    });
    const entry = { result, giveUp, waiters };
    entries.set(key, entry);
    return entry;
  };

  return {
    async run(key, work, options = {}) {
      options.signal?.throwIfAborted();
      const entry = entries.get(key) ?? begin(key, work);
      entry.waiters.add(options);
      try {
        return await unlessAborted(entry.result, options.signal);
      } finally {
        entry.waiters.delete(options);
        if (entry.waiters.size === 0 && entries.get(key) === entry) {
          // A newcomer must not join what is being given up.
          entries.delete(key);
          entry.giveUp.abort(options.signal?.reason);
        }
      }
    },
    async close() {
      const current = [...entries.values()];
      for (const entry of current) entry.giveUp.abort(new Error("the host is closing"));
      await Promise.allSettled(current.map((entry) => entry.result));
    },
  };
}

async function unlessAborted<T>(result: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return result;
  let stopListening = (): void => {};
  const aborted = new Promise<never>((_, reject) => {
    const listener = (): void => reject(signal.reason);
    signal.addEventListener("abort", listener, { once: true });
    stopListening = () => signal.removeEventListener("abort", listener);
  });
  try {
    return await Promise.race([result, aborted]);
  } finally {
    stopListening();
  }
}
