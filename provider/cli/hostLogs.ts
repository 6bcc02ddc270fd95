import { createReadStream, existsSync, statSync } from "node:fs";
import { readFile } from "node:fs/promises";
import { pipeline } from "node:stream/promises";
import { setTimeout as sleep } from "node:timers/promises";
import { embeddedHostStatus } from "../client/embeddedHost";
import { type HostCommand, usageError } from "./command";
import { parseHostArguments } from "./hostArguments";

const hint = "sandboxes host logs [--data DIR] [--lines N] [--follow]";
const pollMs = 300;

/** `sandboxes host logs`: JSON lines of the embedded host, also of one that has ended. */
export const hostLogs: HostCommand = {
  usage: `${hint}\n  the embedded host's log, JSON lines; the last 100 by default`,
  async run(argv, io) {
    const options = { lines: { type: "string", short: "n" }, follow: { type: "boolean", short: "f" } } as const;
    const { values } = parseHostArguments(argv, options, hint);
    const lines = Number(values.lines ?? 100);
    if (!Number.isInteger(lines) || lines < 0) throw usageError(`"${values.lines}" is no number of lines`, hint);
    const dataDir = values.data ?? io.environment.SANDBOXES_DATA_DIR;
    const { logFile } = await embeddedHostStatus({ dataDir, signal: io.signal });
    let offset = 0;
    if (existsSync(logFile)) {
      const text = await readFile(logFile, "utf8");
      offset = Buffer.byteLength(text);
      const tail = lines === 0 ? [] : text.trimEnd().split("\n").slice(-lines);
      if (tail.join("") !== "") io.stdout.write(`${tail.join("\n")}\n`);
    }
    while (values.follow && !io.signal.aborted) {
      const size = statSync(logFile, { throwIfNoEntry: false })?.size ?? 0;
      if (size < offset) offset = 0; // A new log was begun.
      if (size > offset) {
        const news = createReadStream(logFile, { start: offset, end: size - 1 });
        await pipeline(news, io.stdout, { end: false });
        offset = size;
      }
      await sleep(pollMs, undefined, { signal: io.signal }).catch(() => undefined); // The loop looks at the signal.
    }
    return 0;
  },
};
