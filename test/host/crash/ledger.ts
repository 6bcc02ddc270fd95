import type { Labels } from "../../../provider/client/wire/labels";

type State = "Running" | "Stopped";

/** A sandbox as far as answers tell: an answer that was lost leaves two possibilities. */
export interface KnownSandbox {
  id: string;
  /** The label that names its creation. */
  key: string;
  states: Set<State>;
  labels: Labels[];
  /** What was written into its memory, once that was acknowledged. */
  token: string | undefined;
  fate: "lives" | "mayBeGone" | "gone";
  /** Its machine was killed after its creation was acknowledged: it has to be `Failed`. */
  isKilled: boolean;
  /** True while a worker changes it. */
  busy: boolean;
}

export interface KnownImage {
  id: string;
  fate: "lives" | "mayBeGone" | "gone";
  /** Others are made from it: it is not deleted. */
  isKept?: boolean;
}

/** What the host has acknowledged, and what it was asked without an answer. */
export class Ledger {
  readonly sandboxes = new Map<string, KnownSandbox>();
  readonly images = new Map<string, KnownImage>();
  /** Creations that were sent, by key. */
  readonly sentKeys = new Set<string>();
  /** Sources of images that were asked for. */
  readonly sentSources = new Set<string>();
  /** What may never happen, whatever is killed. */
  readonly violations: string[] = [];
  readonly counts = new Map<string, number>();

  add(id: string, key: string, state: State, labels: Labels): KnownSandbox {
    const known = { id, key, states: new Set([state]), labels: [labels], token: undefined };
    const sandbox: KnownSandbox = { ...known, fate: "lives", isKilled: false, busy: false };
    this.sandboxes.set(id, sandbox);
    return sandbox;
  }

  /** Those that certainly exist. */
  living(): KnownSandbox[] {
    return [...this.sandboxes.values()].filter(({ fate }) => fate === "lives");
  }

  /** Those that nobody changes. */
  idle(): KnownSandbox[] {
    return this.living().filter(({ busy }) => !busy);
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }
}
