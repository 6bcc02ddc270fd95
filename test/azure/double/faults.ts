import type { PlaneName, WireReply, WireRequest } from "./wire";

/** What goes wrong with a request that matches. */
export type FaultKind =
  /** Not carried out, answered so instead. */
  | { answer: WireReply }
  /** Carried out; of the answer only so many bytes arrive, headers counted, then the connection is cut. */
  | { cutAt: number }
  /** Not carried out; the connection is cut. */
  | "reset"
  /** Carried out after a wait. */
  | { delayMs: number };

export interface Fault {
  plane?: PlaneName;
  method?: string;
  path?: RegExp;
  /** How many requests it hits; default 1. */
  times?: number;
  /** How many requests that match it lets pass first; default 0. */
  skip?: number;
  kind: FaultKind;
  /** Waits until that other one has hit. */
  after?: Fault;
}

/** Faults that wait for their request. */
export class Faults {
  readonly #waiting: (Fault & { times: number; skip: number; origin: Fault })[] = [];
  readonly #done = new WeakSet<Fault>();
  /** How many requests a fault has hit. */
  hits = 0;
  /** How long the answer was that was cut last, in bytes. */
  cutLength = 0;

  add(...faults: Fault[]): void {
    for (const fault of faults) this.#waiting.push({ times: 1, skip: 0, ...fault, origin: fault });
  }

  clear(): void {
    this.#waiting.length = 0;
  }

  /** The fault that hits this request; counted off. */
  take(request: WireRequest): FaultKind | undefined {
    for (const fault of this.#waiting) {
      if (!fits(fault, request) || (fault.after && !this.#done.has(fault.after))) continue;
      if (fault.skip > 0) {
        fault.skip -= 1;
        continue;
      }
      if (fault.times <= 0) continue;
      fault.times -= 1;
      this.hits += 1;
      this.#done.add(fault.origin);
      return fault.kind;
    }
    return undefined;
  }
}

/** 429 as the service says it, with the time it wants. */
export function throttled(retryAfterSeconds: number): FaultKind {
  return { answer: throttledAnswer(retryAfterSeconds) };
}

export function throttledAnswer(retryAfterSeconds: number): WireReply {
  const json = { error: { code: "TooManyRequests", message: "The request is being throttled." } };
  return { status: 429, headers: { "retry-after": String(retryAfterSeconds) }, json };
}

function fits({ plane, method, path }: Fault, request: WireRequest): boolean {
  return (
    (plane === undefined || plane === request.plane) &&
    (method === undefined || method === request.method) &&
    (path === undefined || path.test(request.path))
  );
}
