import { readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { afterEach } from "vitest";
import { failureLogs } from "../../test/failureLogs";

/** Of the end of each log. */
const lines = 30;
/** Logs in files: of daemons, and of QEMU with the console of its guest; of those that said something lately. */
const logFiles = /(^|\/)(host|qemu)\.log$/;
const latelyMs = 60_000;

// Of a run on another machine what it printed is all that is left.
afterEach(({ task }) => {
  if (task.result?.state !== "fail") return;
  for (const [name, text] of [...[...failureLogs].map(([name, read]) => [name, read()] as const), ...textsOfFiles()]) {
    const tail = text.trimEnd().split("\n").slice(-lines).join("\n");
    if (tail) process.stderr.write(`\n--- "${task.name}" failed; the end of ${name}:\n${tail}\n`);
  }
});

function textsOfFiles(): [string, string][] {
  const folder = process.env.SANDBOXES_TEST_RUN;
  if (!folder) return [];
  try {
    const paths = readdirSync(folder, { recursive: true, encoding: "utf8" }).filter((path) => logFiles.test(path));
    const found = paths.map((path) => ({ path, atMs: statSync(join(folder, path)).mtimeMs }));
    const latest = found.filter(({ atMs }) => Date.now() - atMs < latelyMs).sort((a, b) => b.atMs - a.atMs);
    return latest.slice(0, 4).map(({ path }) => [path, readFileSync(join(folder, path), "utf8")]);
  } catch {
    return []; // Something was removed while we looked.
  }
}
