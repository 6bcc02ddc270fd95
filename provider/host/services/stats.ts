import { once } from "node:events";
import { addAbortSignal } from "node:stream";
import { text } from "node:stream/consumers";
import type { SandboxStatsView } from "../../client/wire/stats";
import type { GuestAgent } from "../vm/guestAgent";
import { answeredByGuest } from "./guestLimit";
import type { SandboxService } from "./sandboxes";

/** Of the kernel's clock for such counts, on every architecture that Linux has kept. */
const ticksPerSecond = 100;
const nanosecondsPerTick = 1e9 / ticksPerSecond;

/** What sandboxes use, as their guests say: read from files, without starting a program. */
export class StatsService {
  readonly #sandboxes: SandboxService;
  /** For rates: the reading before. */
  readonly #before = new Map<string, { atMs: number; busyTicks: number }>();

  constructor(parts: { sandboxes: SandboxService }) {
    this.#sandboxes = parts.sandboxes;
  }

  /** Throws `NotRunning`. Looking is no use of a sandbox: it may be suspended all the same. */
  async read(groupKey: string, id: string): Promise<SandboxStatsView> {
    const { record, vm } = this.#sandboxes.observed(groupKey, id);
    const { stat, loadavg, meminfo, net, uptime, disk } = await answeredByGuest(record.id, (signal) =>
      readAll(vm.agent, signal),
    );
    const cpu = parseCpu(stat);
    const [loadAvg1, loadAvg5, loadAvg15] = numbers(loadavg);
    const uptimeSecs = numbers(uptime)[0] ?? 0;
    const busyTicks = cpu.user + cpu.nice + cpu.system + cpu.irq + cpu.softirq + cpu.steal;
    const usageNanoCores = this.#rate(record.id, busyTicks, uptimeSecs);
    return {
      cpu: {
        ...cpu,
        ...{ loadAvg1, loadAvg5, loadAvg15, usageNanoCores },
        usageCoreNanoSeconds: busyTicks * nanosecondsPerTick,
      },
      memory: parseMemory(meminfo),
      network: parseNetwork(net),
      disk: [{ mountPoint: "/", filesystem: "overlay", ...disk, label: "" }],
      storage: disk,
      uptimeSecs,
    };
  }

  /** Nanoseconds of processor time per second since the reading before, or since the machine's start. */
  #rate(id: string, busyTicks: number, uptimeSecs: number): number {
    const nowMs = performance.now();
    const before = this.#before.get(id);
    this.#before.set(id, { atMs: nowMs, busyTicks });
    // Counts of a guest that was made anew begin anew.
    const isLater = before && before.busyTicks <= busyTicks && nowMs > before.atMs;
    const seconds = isLater ? (nowMs - before.atMs) / 1000 : uptimeSecs;
    const ticks = isLater ? busyTicks - before.busyTicks : busyTicks;
    return seconds > 0 ? Math.round((ticks * nanosecondsPerTick) / seconds) : 0;
  }

  forget(id: string): void {
    this.#before.delete(id);
  }
}

async function readAll(agent: GuestAgent, signal: AbortSignal) {
  const aborted = once(signal, "abort").then(() => Promise.reject(signal.reason));
  aborted.catch(() => undefined); // Too late for anybody once all is read.
  const read = async (path: string) => {
    const content = await Promise.race([agent.readFile(path, { length: maxFileBytes }), aborted]);
    return text(addAbortSignal(signal, content));
  };
  const [stat, loadavg, meminfo, net, uptime, { totalBytes, freeBytes, availableBytes }] = await Promise.all([
    read("/proc/stat"),
    read("/proc/loadavg"),
    read("/proc/meminfo"),
    read("/proc/net/dev"),
    read("/proc/uptime"),
    agent.space("/", { signal }),
  ]);
  const disk = { totalBytes, usedBytes: totalBytes - freeBytes, availableBytes };
  return { stat, loadavg, meminfo, net, uptime, disk };
}

/** The guest decides what is in these files. */
const maxFileBytes = 64 * 1024;

/** The sum over all processors, in ticks. */
function parseCpu(stat: string) {
  const line = stat.split("\n").find((each) => each.startsWith("cpu ")) ?? "";
  const [user, nice, system, idle, iowait, irq, softirq, steal] = numbers(line.slice(3));
  const or0 = (count: number | undefined) => count ?? 0;
  return {
    ...{ user: or0(user), nice: or0(nice), system: or0(system), idle: or0(idle) },
    ...{ iowait: or0(iowait), irq: or0(irq), softirq: or0(softirq), steal: or0(steal) },
  };
}

function parseMemory(meminfo: string) {
  const bytes = (name: string) => Number(new RegExp(`^${name}:\\s+(\\d+) kB`, "m").exec(meminfo)?.[1] ?? 0) * 1024;
  const totalBytes = bytes("MemTotal");
  const availableBytes = bytes("MemAvailable");
  return { totalBytes, availableBytes, usedBytes: totalBytes - availableBytes };
}

/** What the loopback carries stays in the machine, which has no other device: what leaves does so by other ways. */
function parseNetwork(net: string) {
  const sums = { rxBytes: 0, rxPackets: 0, txBytes: 0, txPackets: 0 };
  for (const line of net.split("\n").slice(2)) {
    const [name, counts] = line.split(":");
    if (counts === undefined || name?.trim() === "lo") continue;
    const [rxBytes, rxPackets, , , , , , , txBytes, txPackets] = numbers(counts);
    sums.rxBytes += rxBytes ?? 0;
    sums.rxPackets += rxPackets ?? 0;
    sums.txBytes += txBytes ?? 0;
    sums.txPackets += txPackets ?? 0;
  }
  return sums;
}

function numbers(line: string): number[] {
  return line
    .trim()
    .split(/[\s/]+/)
    .map(Number)
    .filter(Number.isFinite);
}
