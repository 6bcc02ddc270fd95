import { executeOnAzure } from "./azure/exec";
import type { CallOptions, HttpClient } from "./http";
import {
  type ExecResultView,
  type ExecuteCommandContent,
  type ExecuteShellCommandContent,
  execResultView,
} from "./wire/exec";

/** What the guest's limit may be late by before the client gives up on the answer. */
const graceMs = 30_000;

/**
 * Runs a program to its end and answers its whole output; never repeated once the service may have begun. `timeoutMs`
 * in the content is enforced in the guest; without it the service has a limit of its own (a host of ours ten minutes).
 * Aborting ends the program too, but not on Azure; see `executeOnAzure`.
 */
export function executeCommand(
  http: HttpClient,
  sandboxPath: string,
  content: ExecuteCommandContent,
  options: CallOptions = {},
): Promise<ExecResultView> {
  if (!http.plane.hasExtensions) return executeOnAzure(http, sandboxPath, content, options);
  return post(http, `${sandboxPath}/executeCommand`, content, options);
}

/** As `executeCommand`, of a line of shell. */
export function executeShellCommand(
  http: HttpClient,
  sandboxPath: string,
  content: ExecuteShellCommandContent,
  options: CallOptions = {},
): Promise<ExecResultView> {
  if (!http.plane.hasExtensions) {
    const { command, shell, ...rest } = content;
    return executeOnAzure(http, sandboxPath, { ...rest, command: shell ?? "/bin/sh", args: ["-c", command] }, options);
  }
  return post(http, `${sandboxPath}/executeShellCommand`, content, options);
}

function post(
  http: HttpClient,
  path: string,
  content: ExecuteCommandContent | ExecuteShellCommandContent,
  { signal }: CallOptions,
): Promise<ExecResultView> {
  const timeoutMs = content.timeoutMs ? content.timeoutMs + graceMs : 0;
  return http.json(execResultView, { method: "POST", path, json: content, action: "run a program", timeoutMs, signal });
}
