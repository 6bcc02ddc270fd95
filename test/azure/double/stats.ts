import { sizeMiB } from "../../../provider/client/wire/quantities";
import type { StoredSandbox } from "./model";

/** What a sandbox uses, in the words of the API description; the double measures nothing. */
export function statsOf({ resources, createdAt }: StoredSandbox): object {
  const [memory, disk] = [sizeMiB(resources.memory) * 2 ** 20, sizeMiB(resources.disk) * 2 ** 20];
  const times = { user: 120, nice: 0, system: 80, idle: 5000, iowait: 3, irq: 0, softirq: 1, steal: 0 };
  const space = { totalBytes: disk, usedBytes: disk / 8, availableBytes: disk - disk / 8 };
  return {
    tokenUsage: { totalInputTokens: 0, totalOutputTokens: 0, requestCount: 0 },
    cpu: { ...times, loadAvg1: 0.1, loadAvg5: 0.05, loadAvg15: 0.01 },
    memory: { totalBytes: memory, usedBytes: memory / 4, availableBytes: memory - memory / 4 },
    network: { rxBytes: 1000, txBytes: 500, rxPackets: 10, txPackets: 5 },
    disk: [{ mountPoint: "/", filesystem: "ext4", label: "", ...space }],
    uptimeSecs: Math.max(0, (Date.now() - Date.parse(createdAt)) / 1000),
  };
}
