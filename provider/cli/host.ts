import { type Command, type HostCommand, usageError } from "./command";
import { hostStart, hostStatus, hostStop } from "./hostEmbedded";
import { hostGc } from "./hostGc";
import { hostLogs } from "./hostLogs";
import { hostServe } from "./hostServe";

const parts: Record<string, HostCommand> = {
  serve: hostServe,
  start: hostStart,
  stop: hostStop,
  status: hostStatus,
  logs: hostLogs,
  gc: hostGc,
};

/** `sandboxes host`: the daemon, and the embedded one of a data directory. */
export const hostCommand: Command = {
  name: "host",
  summary: "serve sandboxes; start, stop, look at and tidy up the embedded host",
  usage: Object.values(parts)
    .map(({ usage }) => usage)
    .join("\n\n"),

  async run([name = "", ...argv], io) {
    const part = parts[name];
    if (!part) {
      const known = Object.keys(parts).join("|");
      throw usageError(name ? `There is no "host ${name}"` : "What of the host?", `sandboxes host ${known}`);
    }
    return part.run(argv, io);
  },
};
