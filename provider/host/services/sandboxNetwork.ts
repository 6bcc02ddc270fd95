import type { SandboxRecord } from "../store/sandboxStore";
import type { GuestAgent } from "../vm/guestAgent";

/** What the lives of sandboxes mean to their ways out, and to their volumes. */
export interface SandboxNetwork {
  /**
   * A guest answers: started, resumed or taken over; before anything runs in it by our doing. Rejects
   * only for a new one that does not get what it was made with. */
  guestUp(record: SandboxRecord, agent: GuestAgent): Promise<void>;
  /** Variables that tell programs of the way out; none when nothing may leave. */
  environment(record: SandboxRecord): Promise<Record<string, string>>;
  /** A sandbox is gone for good. Repeatable. */
  removed(sandboxId: string): void;
}
