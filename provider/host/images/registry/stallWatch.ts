/** So little in a whole `stallMs` is as good as nothing: a registry could go on like that for ever. */
const leastBytes = 64 * 1024;

/** Notices a download that comes to nothing. */
export class StallWatch {
  readonly #stalled = new AbortController();
  readonly #timer: NodeJS.Timeout;
  #bytes = 0;

  constructor(stallMs: number) {
    this.#timer = setTimeout(() => this.#stalled.abort(), stallMs).unref();
  }

  /** Fires when too little came for too long. */
  get signal(): AbortSignal {
    return this.#stalled.signal;
  }

  note(bytes: number): void {
    this.#bytes += bytes;
    if (this.#bytes < leastBytes) return;
    this.#bytes = 0;
    this.#timer.refresh();
  }

  stop(): void {
    clearTimeout(this.#timer);
  }
}
