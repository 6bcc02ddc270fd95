import { randomUUID } from "node:crypto";
import type { CallOptions, HttpClient } from "../http";
import { type ExecResultView, type ExecuteCommandContent, execResultView } from "../wire/exec";
import { wasTimedOut, wrapProgram } from "./guestProgram";

/** Azure answers after about 600 s at the latest. */
const answerLimitMs = 700_000;

/**
 * Runs a program to its end on Azure, whose API knows no input, time limit or limit of output: the first is put into a
 * file of the guest, the second is watched there, the third is cut here. Aborting gives up the answer; the program goes
 * on in the guest to its end.
 */
export async function executeOnAzure(
  http: HttpClient,
  sandboxPath: string,
  content: ExecuteCommandContent,
  { signal }: CallOptions,
): Promise<ExecResultView> {
  const { command, args, timeoutMs, stdin, maxOutputBytes, ...plain } = content;
  const inputFile = stdin ? await sendInput(http, sandboxPath, Buffer.from(stdin, "base64"), signal) : undefined;
  const [program = "", ...rest] = wrapProgram([command, ...(args ?? [])], { timeoutMs, inputFile });
  const started = performance.now();
  const view = await http.json(execResultView, {
    method: "POST",
    path: `${sandboxPath}/executeCommand`,
    json: { ...plain, command: program, args: rest },
    action: "run a program",
    timeoutMs: answerLimitMs,
    signal,
  });
  const durationMs = view.executionTimeMs ?? performance.now() - started;
  const timedOut = wasTimedOut(view.exitCode, durationMs, timeoutMs);
  const [stdout, stderr] = [cut(view.stdout, maxOutputBytes), cut(view.stderr, maxOutputBytes)];
  return {
    ...view,
    ...(timedOut && { signal: "SIGKILL" }),
    timedOut,
    durationMs,
    truncated: stdout !== view.stdout || stderr !== view.stderr,
    stdout,
    stderr,
  };
}

/** The wrapper of the program removes the file. */
async function sendInput(http: HttpClient, sandboxPath: string, body: Buffer, signal?: AbortSignal): Promise<string> {
  const path = `/tmp/.sandboxes-input-${randomUUID()}`;
  await http.status({
    method: http.plane.dialect.writeFileMethod,
    path: `${sandboxPath}/files`,
    query: { path, createDirs: "true", mode: "0600" },
    body,
    action: "send a program its input",
    repeatable: true,
    signal,
  });
  return path;
}

/** At most so many bytes, without half a character at the end. */
function cut(text: string, maxBytes: number | null | undefined): string {
  if (maxBytes === undefined || maxBytes === null) return text;
  const bytes = Buffer.from(text);
  if (bytes.length <= maxBytes) return text;
  return new TextDecoder().decode(bytes.subarray(0, maxBytes), { stream: true });
}
