#!/usr/bin/env node
import type { Writable } from "node:stream";
import { SandboxesError } from "../client/errors";
import { type CommandIo, exitCodeOf, usageError } from "./command";
import { commands } from "./commands";
import { packageVersion } from "./packageVersion";

/** `sandboxes COMMAND …`: finds the command, runs it, and says what went wrong. Resolves with the exit code. */
export async function main(argv: string[], io: CommandIo): Promise<number> {
  const [name, ...rest] = argv;
  try {
    if (name === undefined || name === "help" || name === "--help" || name === "-h") {
      io.stdout.write(await helpPage());
      return name === undefined ? 2 : 0;
    }
    if (name === "version" || name === "--version") {
      io.stdout.write(`${packageVersion()}\n`);
      return 0;
    }
    const entry = commands.find((each) => each.name === name);
    if (!entry) throw usageError(`There is no command "${name}"`, "see `sandboxes help`");
    const command = await entry.load();
    if (asksForHelp(rest)) {
      io.stdout.write(`${command.summary}\n\n${command.usage}\n`);
      return 0;
    }
    return await command.run(rest, io);
  } catch (error) {
    if (io.signal.aborted) return 130;
    io.stderr.write(describe(error, ownArguments(argv).includes("--json")));
    return exitCodeOf(error);
  }
}

async function helpPage(): Promise<string> {
  const loaded = await Promise.all(commands.map(({ load }) => load()));
  const lines = loaded.map(({ name, summary }) => `  ${name.padEnd(8)} ${summary}`);
  return `sandboxes COMMAND [options]\n\n${lines.join("\n")}\n\nsandboxes COMMAND --help tells more of one.\n`;
}

/** What is ours: after `--` comes another program's command line. */
function ownArguments(argv: string[]): string[] {
  const end = argv.indexOf("--");
  return end < 0 ? argv : argv.slice(0, end);
}

function asksForHelp(argv: string[]): boolean {
  return ownArguments(argv).some((each) => each === "--help" || each === "-h");
}

function describe(error: unknown, asJson: boolean): string {
  if (!(error instanceof SandboxesError)) {
    const text = error instanceof Error ? (error.stack ?? error.message) : String(error);
    return asJson ? `${JSON.stringify({ error: { code: "Internal", message: text } })}\n` : `sandboxes: ${text}\n`;
  }
  const { code, message, hint, requestId } = error;
  if (asJson) return `${JSON.stringify({ error: { code, message, hint, requestId } })}\n`;
  const more = [hint, requestId && `request ${requestId}`].filter(Boolean);
  return [`sandboxes: ${message}`, ...more.map((line) => `  ${line}`), ""].join("\n");
}

async function runFromTerminal(): Promise<void> {
  const end = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM", "SIGHUP"] as const) process.on(signal, () => end.abort());
  // A reader that left (`| head`) is no failure of ours; the command ends early and cleans up after itself.
  process.stdout.on("error", () => end.abort());
  const { stdin, stdout, stderr, env } = process;
  const code = await main(process.argv.slice(2), { stdin, stdout, stderr, environment: env, signal: end.signal });
  await Promise.all([flushed(stdout), flushed(stderr)]);
  // Connections that are kept for a next call would keep the process too.
  process.exit(code);
}

function flushed(stream: Writable): Promise<void> {
  return new Promise((resolve) => stream.write("", () => resolve()));
}

if (require.main === module) void runFromTerminal();
