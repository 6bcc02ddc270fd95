import { z } from "zod";

const statusShape = {
  version: z.string().nullish(),
  region: z.string().nullish(),
  /** `kvm`, `tcg` or `in-process`, and one sentence why. */
  accelerator: z.string().nullish(),
  reason: z.string().nullish(),
  isolation: z.enum(["hardware", "emulated", "none"]).nullish(),
  /** How many of each kind there are: `groups`, `sandboxes`, `running`, `diskImages`, `templates`. */
  counts: z.record(z.string(), z.number()).nullish(),
  /** Of the daemon. */
  processId: z.number().nullish(),
  startedAt: z.string().nullish(),
  /** `budgetMiB` for all sandboxes, `reservedMiB` of it taken. */
  memory: z.record(z.string(), z.number()).nullish(),
  /** Work that waits: `waiting`, `running`. */
  queue: z.record(z.string(), z.number()).nullish(),
};

/** `GET /status` of a self-hosted endpoint; Azure has none. */
export const hostStatusView = z.looseObject(statusShape);
export type HostStatusView = z.output<z.ZodObject<typeof statusShape>>;
