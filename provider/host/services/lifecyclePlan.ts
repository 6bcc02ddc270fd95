import { SandboxesError } from "../../client/errors";
import type { LifecyclePolicy } from "../../client/wire/sandboxes";
import type { SandboxRecord } from "../store/sandboxStore";

export interface PlannedStep {
  atMs: number;
  step: "suspend" | "delete";
}

const daySeconds = 24 * 3600;
/** Timers of a host that runs for years. */
const maxSeconds = 100 * 365 * daySeconds;

/** What happens to a sandbox by itself next; `idleSinceMs` is undefined while somebody uses it. */
export function nextStep(record: SandboxRecord, idleSinceMs: number | undefined): PlannedStep | undefined {
  const { autoDeletePolicy } = policyOf(record);
  const steps: PlannedStep[] = [];
  const interval = suspendAfterSeconds(record);
  if (record.state === "Running" && interval !== undefined && idleSinceMs !== undefined) {
    steps.push({ atMs: idleSinceMs + interval * 1000, step: "suspend" });
  }
  if (autoDeletePolicy?.enabled) {
    const isStopped = record.state === "Stopped" ? record.stateDetails?.stoppedAt : undefined;
    const from = autoDeletePolicy.trigger === "AfterCreation" ? record.createdAt : isStopped;
    const after = deleteAfterSeconds(autoDeletePolicy);
    if (from !== undefined && after !== undefined)
      steps.push({ atMs: Date.parse(from) + after * 1000, step: "delete" });
  }
  return steps.sort((a, b) => a.atMs - b.atMs)[0];
}

/** Idle seconds before a sandbox is suspended; undefined when it never is. `Disk` keeps memory as well. */
export function suspendAfterSeconds(record: SandboxRecord): number | undefined {
  const policy = policyOf(record).autoSuspendPolicy;
  if (!policy?.enabled || policy.mode === "None") return undefined;
  return policy.interval ?? undefined;
}

/** The old policy with what is given; throws `Invalid` for what could not be carried out. */
export function mergedPolicy(old: Record<string, unknown>, given: LifecyclePolicy): Record<string, unknown> {
  const before = old as LifecyclePolicy;
  const suspend = { ...before.autoSuspendPolicy, ...withoutNull(given.autoSuspendPolicy) };
  const change = withoutNull(given.autoDeletePolicy);
  const { deleteIntervalInDays, deleteIntervalInSeconds, ...kept } = before.autoDeletePolicy ?? {};
  const hasTime = change.deleteIntervalInDays !== undefined || change.deleteIntervalInSeconds !== undefined;
  const oldTime = hasTime ? {} : withoutNull({ deleteIntervalInDays, deleteIntervalInSeconds });
  const merged = { ...old, autoSuspendPolicy: suspend, autoDeletePolicy: { ...kept, ...oldTime, ...change } };
  check(merged as LifecyclePolicy);
  return merged;
}

function check({ autoSuspendPolicy, autoDeletePolicy }: LifecyclePolicy): void {
  const { enabled, interval, mode } = autoSuspendPolicy ?? {};
  if (enabled && !isTime(interval)) throw invalid("autoSuspendPolicy.interval", "a number of seconds above 0");
  if (mode !== undefined && !["Memory", "Disk", "None"].includes(mode ?? "")) {
    throw invalid("autoSuspendPolicy.mode", "Memory, Disk or None");
  }
  if (!autoDeletePolicy?.enabled) return;
  if (!isTime(deleteAfterSeconds(autoDeletePolicy))) {
    throw invalid("autoDeletePolicy", "deleteIntervalInDays or deleteIntervalInSeconds, above 0");
  }
  if (!["AfterSuspend", "AfterCreation", undefined].includes(autoDeletePolicy.trigger ?? undefined)) {
    throw invalid("autoDeletePolicy.trigger", "AfterSuspend or AfterCreation");
  }
}

function deleteAfterSeconds(policy: NonNullable<LifecyclePolicy["autoDeletePolicy"]>): number | undefined {
  const { deleteIntervalInDays: days, deleteIntervalInSeconds: seconds } = policy;
  if (seconds !== undefined && seconds !== null) return seconds;
  return days === undefined || days === null ? undefined : days * daySeconds;
}

function isTime(seconds: number | null | undefined): boolean {
  return typeof seconds === "number" && seconds > 0 && seconds <= maxSeconds;
}

function policyOf(record: SandboxRecord): LifecyclePolicy {
  return record.lifecycle as LifecyclePolicy;
}

function invalid(field: string, wanted: string): SandboxesError {
  return new SandboxesError("Invalid", `The lifecycle needs ${field}: ${wanted}`, { field: `lifecycle.${field}` });
}

function withoutNull<Value extends object>(value: Value | null | undefined): Partial<Value> {
  return Object.fromEntries(Object.entries(value ?? {}).filter(([, each]) => each !== null)) as Partial<Value>;
}
