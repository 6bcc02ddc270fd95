import { z } from "zod";

const count = z.number().nullish();

/**
 * `GET …/sandboxes/{id}/stats`: the fields of Azure's API description and those that its Python SDK reads, side by
 * side. CPU times are in hundredths of a second since the machine was first booted, its template included.
 */
const statsShape = {
  cpu: z
    .looseObject({
      user: count,
      nice: count,
      system: count,
      idle: count,
      iowait: count,
      irq: count,
      softirq: count,
      steal: count,
      loadAvg1: count,
      loadAvg5: count,
      loadAvg15: count,
      /** Since the reading before. */
      usageNanoCores: count,
      usageCoreNanoSeconds: count,
    })
    .nullish(),
  memory: z.looseObject({ totalBytes: count, availableBytes: count, usedBytes: count }).nullish(),
  network: z.looseObject({ rxBytes: count, txBytes: count, rxPackets: count, txPackets: count }).nullish(),
  disk: z
    .array(
      z.looseObject({
        mountPoint: z.string(),
        filesystem: z.string().nullish(),
        totalBytes: count,
        usedBytes: count,
        availableBytes: count,
      }),
    )
    .nullish(),
  storage: z.looseObject({ totalBytes: count, availableBytes: count, usedBytes: count }).nullish(),
  uptimeSecs: count,
};

export const sandboxStatsView = z.looseObject(statsShape);
export type SandboxStatsView = z.output<z.ZodObject<typeof statsShape>>;
