import type { LifecyclePolicy } from "../client/wire/sandboxes";

/** What happens to a sandbox by itself. Idle means that no program is run in it, no file touched, no port used. */
export interface Lifecycle {
  /** It is stopped after so many idle seconds, its programs as they are; default never. */
  stopAfterIdleSeconds?: number;
  /** It is deleted so many seconds after `deleteFrom`; default never. */
  deleteAfterSeconds?: number;
  /** Default its last stop; one that runs is then not deleted. */
  deleteFrom?: "stop" | "creation";
}

export function lifecycleContent(lifecycle: Lifecycle): LifecyclePolicy {
  const { stopAfterIdleSeconds: idle, deleteAfterSeconds: age, deleteFrom } = lifecycle;
  const trigger = deleteFrom === "creation" ? "AfterCreation" : "AfterSuspend";
  return {
    autoSuspendPolicy: idle === undefined ? { enabled: false } : { enabled: true, interval: idle, mode: "Memory" },
    autoDeletePolicy: age === undefined ? { enabled: false } : { enabled: true, deleteIntervalInSeconds: age, trigger },
  };
}
