import { type ChildProcess, spawn } from "node:child_process";
import { readFileSync } from "node:fs";
import { setTimeout as delay } from "node:timers/promises";
import { afterEach, beforeAll, expect, it } from "vitest";
import { openProcessorShares, type ProcessorShares } from "../../../provider/host/vm/processorShare";

let shares: ProcessorShares;
const children: ChildProcess[] = [];

beforeAll(async () => {
  shares = await openProcessorShares(`/test/${process.pid}`);
});

afterEach(async () => {
  for (const child of children.splice(0)) {
    child.kill("SIGKILL");
    await new Promise((resolve) => (isRunning(child) ? child.once("exit", resolve) : resolve(undefined)));
  }
  await shares.removeLeftovers();
});

function isRunning(child: ChildProcess): boolean {
  return child.exitCode === null && child.signalCode === null;
}

function busy(): number {
  const child = spawn("sh", ["-c", "while :; do :; done"], { stdio: "ignore" });
  children.push(child);
  return child.pid as number;
}

/** User and system time in ms; a hundredth of a second is the unit on every Linux. */
function usedMs(pid: number): number {
  const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
  const fields = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
  return (Number(fields[11]) + Number(fields[12])) * 10;
}

/** Names of the groups that a process is in. */
function groupsOf(pid: number): string {
  return readFileSync(`/proc/${pid}/cgroup`, "utf8");
}

it("lets a process use no more than its share", async ({ skip }) => {
  skip(shares.missing !== undefined, shares.missing);
  const pid = busy();
  await shares.limit("quarter", pid, 250);
  // Read from outside inwards: what a busy machine puts between two readings only makes the share larger.
  const started = performance.now();
  const before = usedMs(pid);
  await delay(2000);
  // A period more than its share may fall into the time that is looked at.
  expect(usedMs(pid) - before).toBeLessThanOrEqual(((performance.now() - started) / 1000) * 250 + 100);
});

it("leaves no group of a process that ended, and keeps those of others", async ({ skip }) => {
  skip(shares.missing !== undefined, shares.missing);
  const [ended, running] = [busy(), busy()];
  await shares.limit("ended", ended, 500);
  await shares.limit("running", running, 500);
  process.kill(ended, "SIGKILL");
  await shares.remove("ended");
  await shares.remove("ended");
  await shares.removeLeftovers();
  expect(groupsOf(running)).toMatch(/pulumi-sandboxes\/[0-9a-f]{12}-running/);
  process.kill(running, "SIGKILL");
  await shares.remove("running");
});

it("waits for a process that takes its time to end", async ({ skip }) => {
  skip(shares.missing !== undefined, shares.missing);
  const pid = busy();
  await shares.limit("slow", pid, 500);
  const removed = shares.remove("slow");
  // Long enough for what tries only a few times to have given up.
  await delay(1000);
  expect(groupsOf(pid)).toContain("-slow");
  process.kill(pid, "SIGKILL");
  await removed;
  // Nothing is left that a process could be put into.
  const other = busy();
  await shares.limit("slow", other, 500);
  process.kill(other, "SIGKILL");
  await shares.remove("slow");
});
