import type { SandboxRecord, SandboxStore } from "../store/sandboxStore";
import type { HostLog } from "./hostLog";
import { nextStep, suspendAfterSeconds } from "./lifecyclePlan";
import { saveChange } from "./sandboxRecords";
import { timestamp } from "./timestamp";

export interface LifecycleParts {
  store: SandboxStore;
  log: HostLog;
  /** Stops it unless it is used again meanwhile. */
  suspend: (record: SandboxRecord) => Promise<unknown>;
  remove: (record: SandboxRecord) => Promise<unknown>;
}

interface Use {
  lastMs: number;
  /** Calls that are under way. */
  holds: number;
  /** When a new time goes into the record; undefined when it need not. */
  noteAtMs: number | undefined;
}

/** After a step that failed it is tried again. */
const againAfterMs = 60_000;
/** What Node's timers take. */
const maxTimerMs = 2 ** 31 - 1;

/**
 * Suspends sandboxes that nobody uses and deletes those whose time is over, as their policies say. Use is what callers
 * do: programs, files, connections to ports; not what runs in the sandbox by itself. Times are in the records, so that
 * a restart of the host forgets none.
 */
export class LifecycleService {
  readonly #parts: LifecycleParts;
  readonly #uses = new Map<string, Use>();
  readonly #due = new Map<string, number>();
  readonly #acting = new Set<string>();
  #timer: NodeJS.Timeout | undefined;
  #timerAtMs = Number.POSITIVE_INFINITY;
  #isClosed = false;

  constructor(parts: LifecycleParts) {
    this.#parts = parts;
  }

  /** Takes up all records; once, when they are known to be true. */
  start(): void {
    for (const record of this.#parts.store.all()) this.changed(record);
  }

  close(): void {
    this.#isClosed = true;
    clearTimeout(this.#timer);
  }

  /** To be told of each change of state or policy. */
  changed(record: SandboxRecord): void {
    if (this.#isClosed) return;
    const interval = suspendAfterSeconds(record);
    const use = this.#useOf(record);
    use.noteAtMs = interval === undefined ? undefined : use.lastMs + interval * 100;
    const planned = nextStep(record, use.holds > 0 ? undefined : use.lastMs);
    if (planned) this.#schedule(record.id, planned.atMs);
    else this.#due.delete(record.id);
  }

  /** A caller did something. */
  touch(id: string): void {
    const use = this.#uses.get(id);
    if (!use || this.#isClosed) return;
    use.lastMs = Date.now();
    if (use.noteAtMs === undefined || use.lastMs < use.noteAtMs) return;
    const record = this.#parts.store.find(id);
    if (record) this.changed(saveChange(this.#parts.store, record, { lastActiveAt: timestamp() }));
  }

  /** Somebody uses it until the returned function is called, which is repeatable. */
  hold(id: string): () => void {
    this.touch(id);
    const use = this.#uses.get(id);
    if (!use) return () => undefined;
    use.holds += 1;
    let held = true;
    return () => {
      if (!held) return;
      held = false;
      use.holds -= 1;
      if (this.#isClosed || this.#uses.get(id) !== use) return;
      this.touch(id);
      const record = this.#parts.store.find(id);
      if (record) this.changed(record);
    };
  }

  /** True when its time to be suspended has come, also now. */
  isIdle(record: SandboxRecord): boolean {
    const interval = suspendAfterSeconds(record);
    const use = this.#uses.get(record.id);
    return interval !== undefined && use?.holds === 0 && use.lastMs + interval * 1000 <= Date.now();
  }

  forget(id: string): void {
    this.#uses.delete(id);
    this.#due.delete(id);
  }

  #useOf(record: SandboxRecord): Use {
    let use = this.#uses.get(record.id);
    if (!use) {
      const lastMs = Date.parse(record.lastActiveAt ?? record.createdAt);
      use = { lastMs, holds: 0, noteAtMs: undefined };
      this.#uses.set(record.id, use);
    }
    return use;
  }

  #schedule(id: string, atMs: number): void {
    this.#due.set(id, atMs);
    if (atMs < this.#timerAtMs) this.#arm(atMs);
  }

  #arm(atMs: number): void {
    clearTimeout(this.#timer);
    this.#timerAtMs = atMs;
    this.#timer = setTimeout(() => this.#ring(), Math.min(Math.max(atMs - Date.now(), 0), maxTimerMs)).unref();
  }

  #ring(): void {
    const now = Date.now();
    this.#timerAtMs = Number.POSITIVE_INFINITY;
    for (const [id, atMs] of [...this.#due]) if (atMs <= now && !this.#acting.has(id)) this.#act(id, now);
    const next = Math.min(...[...this.#due].filter(([id]) => !this.#acting.has(id)).map(([, atMs]) => atMs));
    if (next < this.#timerAtMs && !this.#isClosed) this.#arm(next);
  }

  #act(id: string, now: number): void {
    this.#due.delete(id);
    const record = this.#parts.store.find(id);
    if (!record) {
      this.forget(id);
      return;
    }
    const use = this.#useOf(record);
    const planned = nextStep(record, use.holds > 0 ? undefined : use.lastMs);
    if (!planned) return;
    if (planned.atMs > now) {
      // It was used since.
      this.#schedule(id, planned.atMs);
      return;
    }
    this.#acting.add(id);
    const { log } = this.#parts;
    const { step } = planned;
    log.info({ sandbox: id, step }, "a sandbox's time is over");
    const work = step === "suspend" ? this.#parts.suspend(record) : this.#parts.remove(record);
    work
      .then(
        () => this.#acting.delete(id),
        (error: unknown) => {
          this.#acting.delete(id);
          log.warn({ sandbox: id, step, error: String(error) }, "what a sandbox's lifecycle asks for failed");
          if (!this.#isClosed && this.#parts.store.find(id)) this.#schedule(id, Date.now() + againAfterMs);
        },
      )
      .then(() => {
        const current = this.#parts.store.find(id);
        if (current && !this.#due.has(id)) this.changed(current);
      })
      .catch((error: unknown) => log.error({ sandbox: id, error: String(error) }, "a sandbox's lifecycle is lost"));
  }
}
