import { mkdtempSync, readdirSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { type FoundProcess, processesOfRun } from "./processesOfRun.mts";

/** How long programs that were told to stop may take until they count as left over. */
const graceMs = 15_000;

/**
 * Gives a test run a temporary folder of its own and fails the run when a process that its tests started outlives it.
 * Every project of the configuration calls this; only the first call of a run does anything.
 */
export default function testRun(): (() => Promise<void>) | undefined {
  if (process.env.SANDBOXES_TEST_RUN) {
    return undefined;
  }
  // Short: the path of a Unix socket has 107 bytes at most.
  const folder = mkdtempSync(join(tmpdir(), "sbx-"));
  process.env.SANDBOXES_TEST_RUN = folder;
  process.env.TMPDIR = folder;
  return async () => {
    const left = await leftOver(folder);
    for (const { pid } of left) {
      kill(pid);
    }
    const forgotten = readdirSync(folder);
    rmSync(folder, { recursive: true, force: true });
    if (forgotten.length > 0) {
      process.stderr.write(`the tests left files behind (removed now): ${forgotten.join(", ")}\n`);
    }
    if (left.length > 0) {
      const lines = left.map(({ pid, command }) => `  ${pid}  ${command}`);
      throw new Error(`the tests left processes behind (killed now):\n${lines.join("\n")}`);
    }
  };
}

function kill(pid: number): void {
  try {
    process.kill(pid, "SIGKILL");
  } catch {
    // Ended by itself after it was found.
  }
}

async function leftOver(folder: string): Promise<FoundProcess[]> {
  const deadline = Date.now() + graceMs;
  for (;;) {
    const left = processesOfRun(folder);
    if (left.length === 0 || Date.now() > deadline) {
      return left;
    }
    await delay(250);
  }
}
