import { closeSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PassThrough } from "node:stream";
import { text } from "node:stream/consumers";
import { afterEach, beforeEach, expect, test } from "vitest";
import { daemonLog } from "../../provider/cli/daemonLog";

const maxBytes = 1000;
let folder: string;
let logFile: string;
beforeEach(() => {
  folder = mkdtempSync(join(tmpdir(), "log-"));
  logFile = join(folder, "host.log");
});
afterEach(() => rmSync(folder, { recursive: true }));

function lines(count: number): string[] {
  return Array.from({ length: count }, (_, index) => `${JSON.stringify({ line: index, filler: "x".repeat(50) })}\n`);
}

test("the log is bounded while the daemon runs, and its last lines are kept", () => {
  writeFileSync(logFile, "of an earlier daemon\n");
  const descriptor = openSync(logFile, "a", 0o600);
  const log = daemonLog(logFile, { stderr: new PassThrough(), descriptor, maxBytes });
  const written = lines(200);
  for (const [index, line] of written.entries()) {
    log.write(line);
    expect(statSync(logFile).size).toBeLessThanOrEqual(maxBytes + line.length);
    if (index === 3)
      expect(readFileSync(logFile, "utf8")).toBe(`of an earlier daemon\n${written.slice(0, 4).join("")}`);
  }
  closeSync(descriptor);
  const kept = readFileSync(`${logFile}.1`, "utf8") + readFileSync(logFile, "utf8");
  expect(written.join("").endsWith(kept)).toBe(true);
  expect(kept.length).toBeGreaterThan(maxBytes);
});

test.each([["w"], ["a"]])("another file, or one that is not appended to, is left as it is (%s)", async (flags) => {
  const path = flags === "w" ? logFile : join(folder, "elsewhere");
  const descriptor = openSync(path, flags);
  const stderr = new PassThrough();
  const log = daemonLog(logFile, { stderr, descriptor, maxBytes });
  const written = lines(40);
  for (const line of written) log.write(line);
  stderr.end();
  expect(await text(stderr)).toBe(written.join(""));
  expect(statSync(path).size).toBe(0);
  closeSync(descriptor);
});

test("a full disk costs lines, not the daemon", () => {
  const descriptor = openSync(logFile, "a");
  const log = daemonLog(logFile, { stderr: new PassThrough(), descriptor, maxBytes });
  closeSync(descriptor);
  // A closed descriptor stands for a disk that takes nothing.
  expect(() => log.write("lost\n")).not.toThrow();
});
