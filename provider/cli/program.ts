import { constants } from "node:os";
import { pipeline } from "node:stream/promises";
import type { ExecExit } from "../client/execExit";
import type { Command as ProgramCommand } from "../runtime/exec";
import type { SandboxProcess, TerminalSize } from "../runtime/process";
import type { Sandbox } from "../runtime/sandbox";
import { parsePairs } from "./arguments";
import { type CommandIo, usageError } from "./command";

/** Options of the commands that run a program. */
export const programOptions = {
  interactive: { type: "boolean", short: "i" },
  tty: { type: "boolean", short: "t" },
  env: { type: "string", short: "e", multiple: true },
  cwd: { type: "string", short: "w" },
  user: { type: "string", short: "u" },
  timeout: { type: "string" },
} as const;

export const programUsage = `  -i, --interactive  pass standard input on
  -t, --tty          give the program a terminal
  -e, --env KEY=VAL  environment variable, repeatable
  -w, --cwd DIR      working directory
  -u, --user USER    name or uid, with :group or :gid
  --timeout SECONDS  kill the program and all it started after that time; exit code 124`;

interface ProgramValues {
  interactive?: boolean;
  tty?: boolean;
  env?: string[];
  cwd?: string;
  user?: string;
  timeout?: string;
  json?: boolean;
}

export interface ProgramRequest {
  argv: string[];
  interactive: boolean;
  tty: boolean;
  json: boolean;
  env: Record<string, string>;
  cwd?: string;
  user?: string;
  timeoutMs?: number;
}

/** As timeout(1) says it. */
const timedOutExitCode = 124;

/** Checks the options against each other and against the terminal that is there. */
export function programRequest(
  values: ProgramValues,
  argv: string[] | undefined,
  io: CommandIo,
  hint: string,
): ProgramRequest {
  if (!argv || argv.length === 0) throw usageError("No program is given", hint);
  const { interactive = false, tty = false, json = false, cwd, user } = values;
  if (tty && json) throw usageError("A terminal has no JSON: --json and --tty exclude each other", hint);
  if (tty && interactive && !io.stdin.isTTY) throw usageError("Standard input is no terminal", "leave -t out");
  const seconds = values.timeout === undefined ? undefined : Number(values.timeout);
  if (seconds !== undefined && !(seconds > 0)) throw usageError(`"${values.timeout}" is no number of seconds`, hint);
  const timeoutMs = seconds === undefined ? undefined : Math.ceil(seconds * 1000);
  return { argv, interactive, tty, json, env: parsePairs(values.env, "--env", hint), cwd, user, timeoutMs };
}

/** Runs the program with its streams joined to ours; resolves with the exit code to end with. */
export async function runProgram(sandbox: Sandbox, request: ProgramRequest, io: CommandIo): Promise<number> {
  return request.json ? runForJson(sandbox, request, io) : runAttached(sandbox, request, io);
}

async function runForJson(sandbox: Sandbox, request: ProgramRequest, io: CommandIo): Promise<number> {
  const { argv, interactive, tty: _tty, json: _json, ...options } = request;
  const stdin = interactive ? io.stdin : undefined;
  const result = await sandbox.exec(argv, { timeoutMs: dayMs, ...definedOf(options), stdin, signal: io.signal });
  io.stdout.write(`${JSON.stringify({ sandbox: sandbox.id, ...result })}\n`);
  return shellCode(result);
}

/** The longest that a host lets a program run. */
const dayMs = 24 * 3600_000;

async function runAttached(sandbox: Sandbox, request: ProgramRequest, io: CommandIo): Promise<number> {
  const { argv, interactive, tty, json: _json, ...options } = request;
  const size = tty ? sizeOf(io) : undefined;
  const program: ProgramCommand = argv;
  const process = await sandbox.spawn(program, { ...options, tty: size, signal: io.signal });
  const detach = size ? attachTerminal(process, io) : () => {};
  try {
    if (interactive) io.stdin.pipe(process.stdin);
    else process.stdin.end();
    const output = [
      pipeline(process.stdout, io.stdout, { end: false }),
      pipeline(process.stderr, io.stderr, { end: false }),
    ];
    const closed = Promise.all(output).catch((error) => {
      // A reader of ours that left (`| head`) ends the program.
      process.kill("SIGPIPE");
      return error;
    });
    const exit = await process.wait();
    await closed;
    return shellCode(exit);
  } finally {
    detach();
    io.stdin.unpipe(process.stdin);
    io.stdin.pause();
  }
}

/** Every key goes to the program, Ctrl-C too; a new size of our window becomes the program's. */
function attachTerminal(process: SandboxProcess, io: CommandIo): () => void {
  const resize = () => process.resize(sizeOf(io));
  io.stdout.on("resize", resize);
  if (io.stdin.isTTY) io.stdin.setRawMode?.(true);
  return () => {
    io.stdout.off("resize", resize);
    if (io.stdin.isTTY) io.stdin.setRawMode?.(false);
  };
}

function sizeOf({ stdout }: CommandIo): TerminalSize {
  return { rows: stdout.rows || 24, columns: stdout.columns || 80 };
}

/** One number for how a program ended, as shells say it. */
function shellCode({ exitCode, signal, timedOut }: ExecExit): number {
  if (timedOut) return timedOutExitCode;
  if (exitCode !== null) return exitCode;
  return signal === null ? 1 : 128 + (constants.signals[signal as NodeJS.Signals] ?? 0);
}

function definedOf<T extends object>(options: T): Partial<T> {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as Partial<T>;
}
