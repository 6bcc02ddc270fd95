import { describe, expect, it } from "vitest";
import type { LifecyclePolicy } from "../../../provider/client/wire/sandboxes";
import { mergedPolicy, nextStep } from "../../../provider/host/services/lifecyclePlan";
import type { SandboxRecord } from "../../../provider/host/store/sandboxStore";

const createdAt = "2026-01-01T00:00:00.000+00:00";
const stoppedAt = "2026-01-02T00:00:00.000+00:00";
const created = Date.parse(createdAt);
const stopped = Date.parse(stoppedAt);

function record(lifecycle: LifecyclePolicy, isStopped = false): SandboxRecord {
  const state = isStopped ? { state: "Stopped", stateDetails: { stoppedAt } } : { state: "Running" };
  return { lifecycle, createdAt, ...state } as SandboxRecord;
}

describe("what happens to a sandbox next", () => {
  const suspend = { autoSuspendPolicy: { enabled: true, interval: 300, mode: "Memory" } };

  it("is nothing unless it was asked for", () => {
    expect(nextStep(record({}), created)).toBeUndefined();
    const off = { autoSuspendPolicy: { enabled: false, interval: 1 }, autoDeletePolicy: { enabled: false } };
    expect(nextStep(record(off), created)).toBeUndefined();
    expect(nextStep(record({ autoSuspendPolicy: { enabled: true, interval: 1, mode: "None" } }), 0)).toBeUndefined();
  });

  it("is a suspend after idle seconds, not while somebody uses it", () => {
    expect(nextStep(record(suspend), 5000)).toEqual({ atMs: 305_000, step: "suspend" });
    expect(nextStep(record(suspend), undefined)).toBeUndefined();
    expect(nextStep(record(suspend, true), 5000)).toBeUndefined();
  });

  it("is a deletion some time after its creation or its stop", () => {
    const deleting = (policy: object) => ({ autoDeletePolicy: { enabled: true, ...policy } });
    const days = deleting({ deleteIntervalInDays: 2, trigger: "AfterCreation" });
    expect(nextStep(record(days), undefined)).toEqual({ atMs: created + 2 * 86_400_000, step: "delete" });
    const seconds = deleting({ deleteIntervalInSeconds: 30 });
    expect(nextStep(record(seconds), 0)).toBeUndefined();
    expect(nextStep(record(seconds, true), 0)).toEqual({ atMs: stopped + 30_000, step: "delete" });
  });

  it("is whatever comes first", () => {
    const both = {
      ...suspend,
      autoDeletePolicy: { enabled: true, deleteIntervalInSeconds: 10, trigger: "AfterCreation" },
    };
    expect(nextStep(record(both), created)?.step).toBe("delete");
    expect(nextStep(record(both), created - 295_000)?.step).toBe("suspend");
  });
});

describe("a change of a policy", () => {
  const old = mergedPolicy({}, { autoSuspendPolicy: { enabled: true, interval: 60, mode: "Memory" } });

  it("keeps what is not given", () => {
    expect(mergedPolicy(old, { autoSuspendPolicy: { enabled: false } })).toMatchObject({
      autoSuspendPolicy: { enabled: false, interval: 60, mode: "Memory" },
    });
    const withDeletion = mergedPolicy(old, { autoDeletePolicy: { enabled: true, deleteIntervalInDays: 1 } });
    expect(withDeletion).toMatchObject({ ...old, autoDeletePolicy: { enabled: true, deleteIntervalInDays: 1 } });
    // Two ways to say one time: the later counts.
    expect(mergedPolicy(withDeletion, { autoDeletePolicy: { enabled: true, deleteIntervalInSeconds: 5 } })).toEqual({
      ...withDeletion,
      autoDeletePolicy: { enabled: true, deleteIntervalInSeconds: 5 },
    });
  });

  it.each([
    ["autoSuspendPolicy.interval", { autoSuspendPolicy: { enabled: true } }],
    ["autoSuspendPolicy.interval", { autoSuspendPolicy: { enabled: true, interval: 0 } }],
    ["autoSuspendPolicy.mode", { autoSuspendPolicy: { enabled: true, interval: 1, mode: "Sleep" } }],
    ["autoDeletePolicy", { autoDeletePolicy: { enabled: true } }],
    ["autoDeletePolicy", { autoDeletePolicy: { enabled: true, deleteIntervalInSeconds: -1 } }],
    ["autoDeletePolicy.trigger", { autoDeletePolicy: { enabled: true, deleteIntervalInDays: 1, trigger: "Never" } }],
  ])("is refused by %s when it could not be carried out", (field, policy) => {
    expect(() => mergedPolicy({}, policy)).toThrow(expect.objectContaining({ field: `lifecycle.${field}` }));
  });
});
