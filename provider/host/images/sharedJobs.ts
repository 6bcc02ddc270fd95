/** What a job may use: it ends when nobody waits for it any more, and its progress reaches all who wait. */
export interface JobContext {
  signal: AbortSignal;
  progress(message: string): void;
}

export interface JobCaller {
  signal?: AbortSignal;
  onProgress?: (message: string) => void;
}

interface Job<T> {
  promise: Promise<T>;
  controller: AbortController;
  callers: Set<JobCaller>;
}

/** Work that callers who ask for the same thing at once share; one caller's abort ends only its own waiting. */
export class SharedJobs<T> {
  readonly #jobs = new Map<string, Job<T>>();
  readonly #signal: AbortSignal | undefined;

  /** `signal` ends all jobs. */
  constructor(signal?: AbortSignal) {
    this.#signal = signal;
  }

  /** Waits for the job of that key, started by `work` unless it runs already. */
  async run(key: string, caller: JobCaller, work: (context: JobContext) => Promise<T>): Promise<T> {
    caller.signal?.throwIfAborted();
    this.#signal?.throwIfAborted();
    const job = this.#jobs.get(key) ?? this.#start(key, work);
    // An object of its own: the same caller may ask twice.
    const waiting = { ...caller };
    job.callers.add(waiting);
    try {
      return await unlessAborted(job.promise, caller.signal);
    } finally {
      job.callers.delete(waiting);
      if (job.callers.size === 0) {
        // Whoever asks from now on starts anew instead of joining a job that is being ended.
        if (this.#jobs.get(key) === job) this.#jobs.delete(key);
        job.controller.abort(caller.signal?.reason);
      }
    }
  }

  #start(key: string, work: (context: JobContext) => Promise<T>): Job<T> {
    const controller = new AbortController();
    const callers = new Set<JobCaller>();
    const signal = this.#signal ? AbortSignal.any([controller.signal, this.#signal]) : controller.signal;
    const progress = (message: string) => {
      for (const caller of callers) caller.onProgress?.(message);
    };
    // Later, so that the first caller is there to hear of the first step.
    const promise = Promise.resolve().then(() => work({ signal, progress }));
    // Those who wait see it; a job nobody waits for any more fails unseen on purpose.
    promise.catch(() => undefined);
    const job = { promise, controller, callers };
    this.#jobs.set(key, job);
    return job;
  }
}

function unlessAborted<T>(promise: Promise<T>, signal: AbortSignal | undefined): Promise<T> {
  if (!signal) return promise;
  return new Promise((resolve, reject) => {
    const abort = () => reject(signal.reason);
    signal.addEventListener("abort", abort, { once: true });
    promise.then(resolve, reject).finally(() => signal.removeEventListener("abort", abort));
  });
}
