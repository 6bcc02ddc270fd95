import { stat } from "node:fs/promises";
import { basename, join, posix } from "node:path";
import { isSandboxesError } from "../client/errors";
import type { Sandbox } from "../runtime/sandbox";
import type { TransferResult } from "../runtime/transfer";
import { commonUsage, parseArguments } from "./arguments";
import { type Command, type CommandIo, usageError } from "./command";
import { findSandbox, openTarget } from "./target";

const hint = "sandboxes cp LOCAL ID:/path, or sandboxes cp ID:/path LOCAL";

/** `sandboxes cp`: files and trees into and out of a sandbox. */
export const cpCommand: Command = {
  name: "cp",
  summary: "copy files into or out of a sandbox",
  usage: `sandboxes cp [options] LOCAL ID:/PATH
sandboxes cp [options] ID:/PATH LOCAL

Trees are copied whole; into a directory that exists, under their own name. Links inside a tree are left out.

${commonUsage}`,

  async run(argv, io) {
    const { values, positionals } = parseArguments(argv, {}, hint);
    const [from, to, ...others] = positionals;
    if (!from || !to || others.length > 0) throw usageError("One source and one destination are needed", hint);
    const source = readRemote(from);
    const destination = readRemote(to);
    const remote = source ?? destination;
    if (!remote || (source && destination)) throw usageError("Exactly one side must be of the form ID:/path", hint);
    const sandbox = await findSandbox(await openTarget(values, io), remote.id, io);
    const result = source ? await download(sandbox, source.path, to, io) : await upload(sandbox, from, remote.path, io);
    if (values.json) io.stdout.write(`${JSON.stringify(result)}\n`);
    else io.stderr.write(leftOut(result));
    return 0;
  },
};

function leftOut({ skipped }: TransferResult): string {
  if (skipped.length === 0) return "";
  const more = skipped.length > 3 ? ` and ${skipped.length - 3} more (--json names all)` : "";
  return `left out, being neither files nor directories: ${skipped.slice(0, 3).join(", ")}${more}\n`;
}

/** `3e355780:/path`; a local path that looks so can be written `./3e355780:/path`. */
function readRemote(text: string): { id: string; path: string } | undefined {
  const match = /^([0-9a-f-]{1,36}):(\/.*)$/i.exec(text);
  return match ? { id: match[1] as string, path: match[2] as string } : undefined;
}

async function upload(sandbox: Sandbox, from: string, to: string, { signal }: CommandIo): Promise<TransferResult> {
  const into = to.endsWith("/") || (await isGuestDirectory(sandbox, to, signal));
  return sandbox.files.upload(from, into ? posix.join(to, basename(from)) : to, { signal });
}

async function download(sandbox: Sandbox, from: string, to: string, { signal }: CommandIo): Promise<TransferResult> {
  const into = to.endsWith("/") || (await isLocalDirectory(to));
  return sandbox.files.download(from, into ? join(to, posix.basename(from)) : to, { signal });
}

async function isGuestDirectory(sandbox: Sandbox, path: string, signal: AbortSignal): Promise<boolean> {
  try {
    return (await sandbox.files.stat(path, { signal })).type === "directory";
  } catch (error) {
    if (isSandboxesError(error, "FileNotFound")) return false;
    throw error;
  }
}

async function isLocalDirectory(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false; // It is made, or writing to it says what is wrong.
  }
}
