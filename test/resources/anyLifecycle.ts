import * as fc from "fast-check";

const optional = <T>(arbitrary: fc.Arbitrary<T>) => fc.option(arbitrary, { nil: undefined });
const seconds = fc.integer({ min: 1, max: 10_000_000 });

/** Any lifecycle of a sandbox that both targets take. */
export const anyLifecycle = fc.record({
  autoSuspendPolicy: optional(
    fc.record({
      enabled: fc.boolean(),
      interval: optional(fc.integer({ min: 600, max: 100_000 })),
      mode: optional(fc.constantFrom("Memory", "None")),
    }),
  ),
  autoDeletePolicy: optional(
    fc.oneof(
      fc.record({ enabled: fc.constant(false), deleteIntervalInSeconds: optional(seconds) }),
      fc.record({
        enabled: fc.boolean(),
        deleteIntervalInDays: fc.integer({ min: 1, max: 3_000 }),
        trigger: optional(fc.constantFrom("AfterSuspend", "AfterCreation")),
      }),
      fc.record({ enabled: fc.constant(true), deleteIntervalInSeconds: fc.integer({ min: 600, max: 10_000_000 }) }),
    ),
  ),
});
