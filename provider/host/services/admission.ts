import { readFileSync } from "node:fs";
import { availableParallelism, totalmem } from "node:os";
import { SandboxesError } from "../../client/errors";
import { createFairQueue, type FairQueue } from "./fairQueue";

/** What QEMU takes beside the guest's memory; measured 20 to 60 MiB. */
const overheadMiB = 64;
/** Left to the host's own processes, by default. */
const hostShareMiB = 512;
/** Starts that may wait; at some 100 ms each the last one waits for half a minute. */
const maxWaiting = 256;

export interface AdmissionOptions {
  /** What all sandboxes together may take; default: the machine's (or its cgroup's) memory less 512 MiB. */
  memoryBudgetMiB?: number;
  /** Clones started at the same time; default: the processors, since a start is all processor work. */
  startsAtOnce?: number;
}

/**
 * Decides whether the machine can hold one more sandbox. Each reserves all the memory that its guest may ever touch,
 * from creation (the template's build too) to deletion, but not while it is stopped and on disk: so a host never
 * promises what it does not have, and a stopped sandbox may have to wait for memory. `memoryBudgetMiB` above the machine's memory overcommits on purpose.
 * Processors are shared, not reserved; starts queue for them, one of each group in turn.
 */
export class Admission {
  readonly budgetMiB: number;
  readonly #reserved = new Map<string, number>();
  readonly #starts: FairQueue;

  constructor(options: AdmissionOptions = {}) {
    this.budgetMiB = options.memoryBudgetMiB ?? Math.max(machineMiB() - hostShareMiB, 0);
    this.#starts = createFairQueue(options.startsAtOnce ?? availableParallelism());
  }

  /** Reserves for a sandbox until `release`; throws `CapacityExceeded`, or `Invalid` when it could never fit. */
  reserve(sandboxId: string, memoryMiB: number): void {
    const needed = memoryMiB + overheadMiB;
    if (needed > this.budgetMiB) {
      throw new SandboxesError(
        "Invalid",
        `Cannot give a sandbox ${memoryMiB} MiB of memory: this host has ${Math.max(this.budgetMiB - overheadMiB, 0)} MiB for all`,
        { field: "resources.memory" },
      );
    }
    if (needed > this.budgetMiB - this.reservedMiB) {
      throw new SandboxesError(
        "CapacityExceeded",
        `Cannot give a sandbox ${memoryMiB} MiB of memory: ${this.reservedMiB} of ${this.budgetMiB} MiB are taken`,
        { hint: "delete sandboxes that are not needed, or ask for less memory" },
      );
    }
    this.#reserved.set(sandboxId, needed);
  }

  /** For a sandbox that runs already (found after a restart), whatever the budget says. */
  reserveRunning(sandboxId: string, memoryMiB: number): void {
    this.#reserved.set(sandboxId, memoryMiB + overheadMiB);
  }

  /** Repeatable. */
  release(sandboxId: string): void {
    this.#reserved.delete(sandboxId);
  }

  get reservedMiB(): number {
    return [...this.#reserved.values()].reduce((sum, each) => sum + each, 0);
  }

  get queue(): { running: number; waiting: number } {
    return { running: this.#starts.running, waiting: this.#starts.waiting };
  }

  /**
   * Runs `work` when its turn comes; throws `CapacityExceeded` when too many wait already, and the signal's reason when
   * it is aborted before.
   */
  async start<Result>(groupKey: string, work: () => Promise<Result>, signal?: AbortSignal): Promise<Result> {
    if (this.#starts.waiting >= maxWaiting) {
      throw new SandboxesError("CapacityExceeded", `Cannot start a sandbox: ${maxWaiting} others wait already`);
    }
    return this.#starts.run(groupKey, work, signal);
  }
}

function machineMiB(): number {
  const limits = [totalmem(), process.constrainedMemory(), cgroupLimit()].filter((bytes) => bytes > 0);
  return Math.floor(Math.min(...limits) / 2 ** 20);
}

/** The nearest cgroup v2 limit that libuv does not see; 0 when there is none. */
function cgroupLimit(): number {
  try {
    return Number.parseInt(readFileSync("/sys/fs/cgroup/memory.max", "utf8"), 10) || 0;
  } catch {
    return 0; // No cgroup v2 here: the machine's memory is the limit.
  }
}
