import {
  type EmbeddedHostStatus,
  embeddedHostStatus,
  ensureEmbeddedHost,
  stopEmbeddedHost,
} from "../client/embeddedHost";
import { type CommandIo, type HostCommand, usageError } from "./command";
import { parseHostArguments } from "./hostArguments";

/** `sandboxes host start`: the embedded host, unless it runs already. */
export const hostStart: HostCommand = {
  usage: "sandboxes host start [--data DIR] [--json]\n  starts the embedded host, if it is not running",
  async run(argv, io) {
    const { dataDir, json } = read(argv, io, "sandboxes host start [--data DIR]");
    const { endpoint } = await ensureEmbeddedHost({ dataDir, signal: io.signal });
    io.stdout.write(json ? `${JSON.stringify({ running: true, endpoint })}\n` : `serving on ${endpoint}\n`);
    return 0;
  },
};

/** `sandboxes host stop`: leaves no daemon and no VM. */
export const hostStop: HostCommand = {
  usage: "sandboxes host stop [--data DIR] [--json]\n  ends the embedded host and all its sandboxes",
  async run(argv, io) {
    const { dataDir, json } = read(argv, io, "sandboxes host stop [--data DIR]");
    const { stopped } = await stopEmbeddedHost({ dataDir, signal: io.signal });
    io.stdout.write(json ? `${JSON.stringify({ stopped })}\n` : stopped ? "stopped\n" : "was not running\n");
    return 0;
  },
};

/** `sandboxes host status`: exit code 1 when it is not running. */
export const hostStatus: HostCommand = {
  usage:
    "sandboxes host status [--data DIR] [--json]\n  what the embedded host runs; exit code 1 when it is not running",
  async run(argv, io) {
    const { dataDir, json } = read(argv, io, "sandboxes host status [--data DIR]");
    const state = await embeddedHostStatus({ dataDir, signal: io.signal });
    io.stdout.write(json ? `${JSON.stringify(state)}\n` : describe(state));
    return state.running ? 0 : 1;
  },
};

function read(argv: string[], io: CommandIo, hint: string): { dataDir: string | undefined; json: boolean } {
  const { values, positionals } = parseHostArguments(argv, {}, hint);
  if (positionals.length > 0) throw usageError(`What is "${positionals[0]}"?`, hint);
  return { dataDir: values.data ?? io.environment.SANDBOXES_DATA_DIR, json: values.json ?? false };
}

function describe({ running, endpoint, logFile, status }: EmbeddedHostStatus): string {
  if (!running || !status) return `not running\n  endpoint   ${endpoint}\n`;
  const pairs = (record: Record<string, number> | null | undefined) =>
    Object.entries(record ?? {})
      .map(([name, count]) => `${count} ${name}`)
      .join(", ");
  return [
    `running, version ${status.version}`,
    `  endpoint   ${endpoint}`,
    `  isolation  ${status.isolation}: ${status.accelerator} (${status.reason})`,
    `  holds      ${pairs(status.counts)}`,
    `  memory     ${status.memory?.reservedMiB ?? 0} of ${status.memory?.budgetMiB ?? 0} MiB reserved`,
    `  starts     ${pairs(status.queue)}`,
    `  log        ${logFile}`,
    "",
  ].join("\n");
}
