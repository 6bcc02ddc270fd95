import type { EgressDecision, EgressDecisionStore, EgressDecisions } from "../store/egressDecisionStore";

/** Of each kind, the newest; as many as Azure tells. */
const kept = 50;
/** Longer names and paths are cut; a guest chooses them. */
const maxTextLength = 256;
/** A guest may ask a thousand times a second; the disk hears of it once. */
const writeAfterMs = 2_000;

/** Remembers the last decisions on each sandbox's requests, and writes them down now and then. */
export class DecisionLog {
  readonly #store: EgressDecisionStore;
  readonly #logs = new Map<string, EgressDecisions>();
  readonly #unwritten = new Set<string>();
  #timer: NodeJS.Timeout | undefined;

  constructor(store: EgressDecisionStore) {
    this.#store = store;
  }

  add(sandboxId: string, outcome: "allowed" | "denied", decision: Omit<EgressDecision, "timestamp">): void {
    const log = this.read(sandboxId);
    const timestamp = new Date().toISOString();
    const { host, path, method, reason } = decision;
    log[outcome].push({
      ...decision,
      timestamp,
      host: cut(host),
      path: cut(path),
      method: cut(method),
      reason: cut(reason),
    });
    log[outcome].splice(0, log[outcome].length - kept);
    log.lastUpdated = timestamp;
    this.#unwritten.add(sandboxId);
    this.#timer ??= setTimeout(() => this.write(), writeAfterMs).unref();
  }

  /** Oldest first. */
  read(sandboxId: string): EgressDecisions {
    const known = this.#logs.get(sandboxId) ?? this.#store.get(sandboxId) ?? { allowed: [], denied: [] };
    this.#logs.set(sandboxId, known);
    return known;
  }

  /** Forgets a sandbox that is gone. */
  delete(sandboxId: string): void {
    this.#logs.delete(sandboxId);
    this.#unwritten.delete(sandboxId);
    this.#store.delete(sandboxId);
  }

  /** Writes what is not yet on disk. */
  write(): void {
    clearTimeout(this.#timer);
    this.#timer = undefined;
    for (const id of this.#unwritten) this.#store.put(id, this.read(id));
    this.#unwritten.clear();
  }
}

function cut(text: string): string {
  return text.length > maxTextLength ? `${text.slice(0, maxTextLength)}…` : text;
}
