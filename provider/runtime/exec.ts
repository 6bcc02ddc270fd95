import type { Readable } from "node:stream";
import { type ExecExit, readExit } from "../client/execExit";
import type { CallOptions } from "../client/http";
import type { SandboxesApi } from "../client/sandboxes";
import { ExecFailure } from "./execFailure";
import { feed } from "./feed";

/** Arguments of a program, the first being the program itself; or one line for `/bin/sh -c`. */
export type Command = string | readonly string[];

export type StdinSource = string | Uint8Array | AsyncIterable<string | Uint8Array>;

export interface ProgramOptions extends CallOptions {
  /** Absolute; default the image's. */
  cwd?: string;
  /** Besides the sandbox's and the image's. */
  env?: Record<string, string>;
  /** `name`, `uid`, `name:group`, `uid:gid`; default the image's. */
  user?: string;
  /** Enforced in the guest, which then kills the whole tree of processes. */
  timeoutMs?: number;
}

export interface ExecOptions extends ProgramOptions {
  /** Default ten minutes; reaching it is no error but `timedOut` in the result. */
  timeoutMs?: number;
  /** Default nothing. */
  stdin?: StdinSource;
  /** Called with output as it comes; a promise it returns holds the program back. */
  onStdout?: (text: string) => void | Promise<void>;
  onStderr?: (text: string) => void | Promise<void>;
  /** Limit of stdout and of stderr, each, in the result; default 10 MiB. More is dropped and `truncated` is true. */
  maxOutputBytes?: number;
  /** Rejects with an `ExecFailure` unless the program exits with 0. */
  check?: boolean;
}

export interface ExecResult extends ExecExit {
  /** UTF-8; other bytes read as U+FFFD. */
  stdout: string;
  stderr: string;
  truncated: boolean;
}

const defaultTimeoutMs = 600_000;
const defaultMaxOutputBytes = 10 * 2 ** 20;
/** More than this goes piece by piece. */
const maxBufferedStdinBytes = 8 * 2 ** 20;

/** Runs a program to its end: in one request where everything fits in one, else over a stream. */
export async function exec(
  api: SandboxesApi,
  id: string,
  command: Command,
  options: ExecOptions = {},
): Promise<ExecResult> {
  const filled = { timeoutMs: defaultTimeoutMs, maxOutputBytes: defaultMaxOutputBytes, ...withoutUndefined(options) };
  const stdin = bufferedStdin(filled.stdin);
  const inOne = !filled.onStdout && !filled.onStderr && (filled.stdin === undefined || stdin !== undefined);
  const result = await (inOne ? execInOne(api, id, command, filled, stdin) : execStreamed(api, id, command, filled));
  if (filled.check && result.exitCode !== 0) throw new ExecFailure(command, result);
  return result;
}

/** What the stream wants: `/bin/sh -c` before a line of shell. */
export function argvOf(command: Command): string[] {
  return typeof command === "string" ? ["/bin/sh", "-c", command] : [...command];
}

type FilledOptions = ExecOptions & { timeoutMs: number; maxOutputBytes: number };

async function execInOne(
  api: SandboxesApi,
  id: string,
  command: Command,
  options: FilledOptions,
  stdin?: Uint8Array,
): Promise<ExecResult> {
  const { timeoutMs, maxOutputBytes, signal } = options;
  const common = {
    environment: options.env,
    workingDirectory: options.cwd,
    user: options.user,
    timeoutMs,
    maxOutputBytes,
    stdin: stdin && Buffer.from(stdin.buffer, stdin.byteOffset, stdin.byteLength).toString("base64"),
  };
  const [program = "", ...args] = command;
  const view =
    typeof command === "string"
      ? await api.execShell(id, { command, ...common }, { signal })
      : await api.exec(id, { command: program, args, ...common }, { signal });
  return { ...readExit(view), stdout: view.stdout, stderr: view.stderr, truncated: view.truncated ?? false };
}

async function execStreamed(
  api: SandboxesApi,
  id: string,
  command: Command,
  options: FilledOptions,
): Promise<ExecResult> {
  const { stdin, onStdout, onStderr, maxOutputBytes } = options;
  const failed = new AbortController();
  const signal = options.signal ? AbortSignal.any([options.signal, failed.signal]) : failed.signal;
  const start = {
    command: argvOf(command),
    environment: options.env,
    workingDirectory: options.cwd,
    user: options.user,
    timeoutMs: options.timeoutMs,
    stdin: stdin !== undefined,
  };
  const stream = await api.stream(id, start, { signal });
  // The first of these to fail ends the program, and with it the others.
  const parts = [
    collect(stream.stdout, maxOutputBytes, onStdout),
    collect(stream.stderr, maxOutputBytes, onStderr),
  ] as const;
  const input = stdin === undefined ? undefined : feed(stdin, stream.stdin);
  for (const part of [...parts, input]) part?.catch((error) => failed.abort(error));
  const [stdout, stderr, exit] = await Promise.all([...parts, stream.exit, input]);
  const truncated = stdout.truncated || stderr.truncated;
  return { ...exit, stdout: stdout.text, stderr: stderr.text, truncated };
}

async function collect(
  stream: Readable,
  maxBytes: number,
  listener?: (text: string) => void | Promise<void>,
): Promise<{ text: string; truncated: boolean }> {
  const live = new TextDecoder();
  const kept: Buffer[] = [];
  let left = maxBytes;
  let truncated = false;
  for await (const chunk of stream as AsyncIterable<Buffer>) {
    if (chunk.length > left) truncated = true;
    if (left > 0) kept.push(chunk.subarray(0, left));
    left -= Math.min(left, chunk.length);
    const text = listener && live.decode(chunk, { stream: true });
    if (text) await listener?.(text);
  }
  const rest = live.decode();
  if (rest) await listener?.(rest);
  // With `stream` the decoder holds back a character that the limit cut.
  return { text: new TextDecoder().decode(Buffer.concat(kept), { stream: truncated }), truncated };
}

function bufferedStdin(stdin: StdinSource | undefined): Uint8Array | undefined {
  const bytes = typeof stdin === "string" ? Buffer.from(stdin) : stdin;
  return bytes instanceof Uint8Array && bytes.length <= maxBufferedStdinBytes ? bytes : undefined;
}

function withoutUndefined<T extends object>(options: T): T {
  return Object.fromEntries(Object.entries(options).filter(([, value]) => value !== undefined)) as T;
}
