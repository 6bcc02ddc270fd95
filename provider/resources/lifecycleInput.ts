import { z } from "zod";
import type { LifecyclePolicy } from "../client/wire/sandboxes";
import { canonical, definedOnly, isBag } from "../pulumi/propertyBag";
import type { Target } from "../pulumi/providerConfig";

const daySeconds = 24 * 3600;

const suspend = z
  .strictObject({
    enabled: z.boolean(),
    interval: z.int().min(1).describe("idle seconds; default 300").optional(),
    mode: z
      .enum(["Memory", "Disk", "None"])
      .describe("Memory keeps programs, Disk starts from disk, None never")
      .optional(),
  })
  .describe("{enabled, interval, mode}: suspended after so many idle seconds");

const remove = z
  .strictObject({
    enabled: z.boolean(),
    deleteIntervalInDays: z.int().min(1).optional(),
    deleteIntervalInSeconds: z.int().min(1).optional(),
    trigger: z.enum(["AfterSuspend", "AfterCreation"]).describe("default AfterSuspend").optional(),
  })
  .refine(
    ({ enabled, deleteIntervalInDays: days, deleteIntervalInSeconds: seconds }) =>
      !(days !== undefined && seconds !== undefined) && !(enabled && days === undefined && seconds === undefined),
    "give one of deleteIntervalInDays and deleteIntervalInSeconds",
  )
  .describe("{enabled, deleteIntervalInSeconds or deleteIntervalInDays, trigger}: deleted after so long");

/** What happens to a sandbox by itself, in the words of Azure's API. */
export const lifecycleInput = z
  .strictObject({ autoSuspendPolicy: suspend.optional(), autoDeletePolicy: remove.optional() })
  .describe("when it is suspended because nobody uses it, and when it is deleted");
export type LifecycleInput = z.output<typeof lifecycleInput>;

/** What holds for a sandbox of which nothing is said. */
const defaultSuspend = { microvm: { enabled: false }, azure: { enabled: true } };

/** For the wire, complete: services keep what a change does not mention. */
export function lifecycleContent(input: LifecycleInput, target: Target): LifecyclePolicy {
  const { autoSuspendPolicy = defaultSuspend[target], autoDeletePolicy = { enabled: false } } = input;
  return {
    autoSuspendPolicy: { interval: 300, mode: "Memory", ...definedOnly(autoSuspendPolicy) },
    autoDeletePolicy: {
      ...(autoDeletePolicy.enabled && { trigger: "AfterSuspend" }),
      ...definedOnly(autoDeletePolicy),
    },
  };
}

/** The policy that a service tells, as inputs; times in the unit in which they were declared. */
export function lifecycleInputs(live: LifecyclePolicy | null | undefined, had: unknown): LifecycleInput | undefined {
  if (!live) return undefined;
  const { autoSuspendPolicy: suspend, autoDeletePolicy: remove } = live;
  const { deleteIntervalInDays: days, deleteIntervalInSeconds } = remove ?? {};
  const seconds = deleteIntervalInSeconds ?? (days ? days * daySeconds : undefined);
  const declared = isBag(had) && isBag(had.autoDeletePolicy) ? had.autoDeletePolicy : {};
  const inDays = declared.deleteIntervalInDays !== undefined;
  // Every field is told, also as undefined: what somebody else removed must not look as if it were there.
  const told = {
    autoSuspendPolicy: {
      enabled: suspend?.enabled ?? false,
      interval: suspend?.interval ?? undefined,
      mode: suspend?.mode ?? "Memory",
    },
    autoDeletePolicy: {
      enabled: remove?.enabled ?? false,
      deleteIntervalInDays: inDays && seconds ? seconds / daySeconds : undefined,
      deleteIntervalInSeconds: inDays ? undefined : seconds,
      trigger: remove?.trigger ?? "AfterSuspend",
    },
  };
  return told as LifecycleInput;
}

/** True when the service's policy is the one declared. */
export function isSameLifecycle(
  wanted: LifecycleInput,
  live: LifecyclePolicy | null | undefined,
  target: Target,
): boolean {
  const plain = (input: LifecycleInput) => JSON.stringify(canonical(lifecycleContent(input, target)));
  const told = lifecycleInputs(live, wanted);
  return told !== undefined && plain(wanted) === plain(told);
}
