import type { Labels } from "../../../provider/client/wire/labels";

type State = "Running" | "Stopped";
type Fate = "lives" | "mayBeGone" | "gone";

/** What a sandbox was asked for besides being one. */
export interface Traits {
  /** Less than a processor: it runs in a control group of its own. */
  isLimited?: boolean;
  /** Stopped by itself when nobody uses it. */
  sleeps?: boolean;
  /** Deleted by itself so long after its creation. */
  livesForMs?: number;
  hasPort?: boolean;
  hasEgress?: boolean;
  /** The volume that all share. */
  isSharing?: boolean;
  /** Name of a volume of its own. */
  disk?: string;
}

/** A sandbox as far as answers tell: an answer that was lost leaves two possibilities. */
export interface KnownSandbox {
  id: string;
  /** The label that names its creation. */
  key: string;
  traits: Traits;
  states: Set<State>;
  labels: Labels[];
  /** What was written into its memory beside the programs that were started, once that was acknowledged. */
  token: string | undefined;
  fate: Fate;
  /** When it is deleted by itself. */
  endsAtMs: number | undefined;
  /** Its machine was killed after its creation was acknowledged: it has to be `Failed`. */
  isKilled: boolean;
  /** True while a worker changes it. */
  busy: boolean;
}

/** What is there or not, and with what content: any of these. Undefined: it is not there. */
export type Possible = Set<string | undefined>;

export interface KnownImage {
  id: string;
  fate: Fate;
  /** Others are made from it: it is not deleted. */
  isKept?: boolean;
  /** Of a commit: what the sandbox held. */
  token?: string;
}

export interface KnownSnapshot {
  id: string;
  fate: Fate;
  token: string | undefined;
  traits: Traits;
}

export interface KnownVolume {
  /** Its name. */
  id: string;
  fate: Fate;
  /** Creation of the sandbox that has it, or may have it. */
  user?: string;
  isShared?: boolean;
}

/** Around the moment at which something happens by itself. */
const marginMs = 4_000;

/** What the host has acknowledged, and what it was asked without an answer. */
export class Ledger {
  readonly sandboxes = new Map<string, KnownSandbox>();
  readonly images = new Map<string, KnownImage>();
  readonly snapshots = new Map<string, KnownSnapshot>();
  readonly volumes = new Map<string, KnownVolume>();
  /** Files by `volume/name`. */
  readonly files = new Map<string, Possible>();
  readonly secrets = new Map<string, Possible>();
  /** Creations that were sent, by key. */
  readonly sentKeys = new Map<string, Traits>();
  /** Sandboxes that were asked for a commit or a snapshot. */
  readonly copied = new Set<string>();
  /** Sources of images that were asked for. */
  readonly sentSources = new Set<string>();
  /** What may never happen, whatever is killed. */
  readonly violations: string[] = [];
  readonly counts = new Map<string, number>();

  add(id: string, key: string, state: State, labels: Labels, createdAt: string): KnownSandbox {
    const traits = this.sentKeys.get(key) ?? {};
    const { livesForMs } = traits;
    const endsAtMs = livesForMs === undefined ? undefined : Date.parse(createdAt) + livesForMs;
    const known = { id, key, traits, states: new Set([state]), labels: [labels], token: undefined, endsAtMs };
    const sandbox: KnownSandbox = { ...known, fate: "lives", isKilled: false, busy: false };
    if (traits.sleeps) sandbox.states.add("Stopped");
    this.sandboxes.set(id, sandbox);
    return sandbox;
  }

  /** Those that certainly exist. */
  living(): KnownSandbox[] {
    return [...this.sandboxes.values()].filter((each) => this.lives(each));
  }

  lives({ fate, endsAtMs }: KnownSandbox, atMs = Date.now()): boolean {
    return fate === "lives" && atMs < (endsAtMs ?? Number.POSITIVE_INFINITY) - marginMs;
  }

  /** True of one whose time was over a while ago. */
  isOver({ endsAtMs }: KnownSandbox, atMs: number): boolean {
    return endsAtMs !== undefined && atMs > endsAtMs + marginMs;
  }

  /** Those that nobody changes. */
  idle(): KnownSandbox[] {
    return this.living().filter(({ busy }) => !busy);
  }

  /** Volumes for one sandbox each that certainly none has. */
  freeDisks(): KnownVolume[] {
    return [...this.volumes.values()].filter((each) => {
      return each.fate === "lives" && each.user === undefined && !each.isShared;
    });
  }

  count(what: string): void {
    this.counts.set(what, (this.counts.get(what) ?? 0) + 1);
  }
}

/** Notes what a change leads to: for certain, or maybe. */
export function noteChange(known: Map<string, Possible>, key: string, content: string | undefined, sure: boolean) {
  const before = sure ? [] : (known.get(key) ?? [undefined]);
  known.set(key, new Set([...before, content]));
}
