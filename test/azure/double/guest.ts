import { existsSync } from "node:fs";
import { join, posix } from "node:path";
import { text } from "node:stream/consumers";
import { isSandboxesError } from "../../../provider/client/errors";
import { fileMode } from "../../../provider/client/wire/files";
import type { GuestFileInfo, GuestProcess } from "../../../provider/host/vm/guestAgent";
import { requireMethod } from "./listing";
import type { StoredSandbox } from "./model";
import { checkBody } from "./schemas";
import { jsonOf, older, WireError, type WireReply, type WireRequest } from "./wire";

/** Programs and files of a sandbox: real programs of this machine, and files under a folder. */
export class Guest {
  readonly #violations: string[];

  constructor(violations: string[]) {
    this.#violations = violations;
  }

  handle(request: WireRequest, sandbox: StoredSandbox, noun: string, verb?: string): Promise<WireReply> {
    const work = noun === "files" ? this.#files(request, sandbox, verb) : this.#exec(request, sandbox, noun);
    return work.catch((error) => {
      if (!isSandboxesError(error)) throw error;
      throw new WireError(error.status, error.serviceCode, error.message);
    });
  }

  async #exec(request: WireRequest, sandbox: StoredSandbox, noun: string): Promise<WireReply> {
    const isShell = noun === "executeShellCommand";
    const started = performance.now();
    const body = jsonOf(request);
    const shell = isShell ? checkBody("shell", body, request, this.#violations) : undefined;
    const plain = isShell ? undefined : checkBody("exec", body, request, this.#violations);
    const argv = shell ? [shell.shell ?? "/bin/sh", "-c", shell.command] : [plain!.command, ...(plain!.args ?? [])];
    const { environment, workingDirectory } = shell ?? plain!;
    const process = await startIn(sandbox, argv, { environment, workingDirectory });
    const [stdout, stderr, exit] = await Promise.all([text(process.stdout), text(process.stderr), process.exit]);
    const executionTimeMs = Math.round(performance.now() - started);
    return { status: 200, json: { exitCode: exitCodeOf(exit), stdout, stderr, executionTimeMs } };
  }

  async #files(request: WireRequest, { vm }: StoredSandbox, verb?: string): Promise<WireReply> {
    const path = request.query.get("path") ?? "";
    if (verb === "mkdir") {
      const body = checkBody("mkdir", jsonOf(request), request, this.#violations);
      if (body.createParents === false) await vm.agent.stat(posix.dirname(body.path));
      await vm.agent.mkdir(body.path);
      return { status: 200, json: { success: true } };
    }
    if (verb === "stat") return { status: 200, json: entryOf(await vm.agent.stat(path)) };
    if (verb === "list") return { status: 200, json: { path, entries: (await vm.agent.list(path)).map(entryOf) } };
    if (request.method === "DELETE") {
      await vm.agent.remove(path, { recursive: request.query.get("recursive") === "true" });
      return { status: 200, json: { success: true } };
    }
    if (request.method === "GET") {
      const chunks: Buffer[] = [];
      for await (const chunk of await vm.agent.readFile(path)) chunks.push(chunk as Buffer);
      return { status: 200, bytes: Buffer.concat(chunks) };
    }
    requireMethod(request, "PUT", "POST");
    const mode = request.query.get("mode");
    const options = {
      createDirs: request.query.get("createDirs") === "true",
      mode: mode ? fileMode.parse(mode) : undefined,
    };
    const bytesWritten = await vm.agent.writeFile(path, pieces(request.body), options);
    return { status: request.apiVersion === older ? 200 : 201, json: { success: true, bytesWritten } };
  }
}

/**
 * Starts a program as a sandbox does: its own environment first, and what cannot be started ends with 127. A machine is
 * a folder, so that a whole path among the arguments, where it names a file there, is led into it.
 */
export function startIn(
  { vm, environment: own }: StoredSandbox,
  argv: string[],
  options: { environment?: Record<string, string> | null; workingDirectory?: string | null; stdin?: boolean },
): Promise<GuestProcess> {
  const { PATH = "" } = process.env;
  const env = { PATH, ...own, ...options.environment };
  const led = argv.map((word) =>
    /^\/tmp\/[^/\s]+$/.test(word) && existsSync(join(vm.folder, word)) ? join(vm.folder, word) : word,
  );
  return vm.agent.exec({
    argv: ["/bin/sh", "-c", 'exec "$@"', "sh", ...led],
    env,
    cwd: options.workingDirectory ?? undefined,
    stdin: options.stdin ?? false,
  });
}

/** As shells say it: Azure has no word for the signal. */
export function exitCodeOf({ exitCode, signal }: { exitCode: number | null; signal: string | null }): number {
  const numbers: Record<string, number> = { SIGHUP: 1, SIGINT: 2, SIGKILL: 9, SIGTERM: 15 };
  return exitCode ?? 128 + (numbers[signal ?? ""] ?? 0);
}

function entryOf({ name, path, sizeBytes, mode, type, symlinkTarget, modifiedMs }: GuestFileInfo): object {
  const isDir = type === "directory";
  const modifiedTime = new Date(modifiedMs).toISOString();
  const text = `0${mode.toString(8)}`;
  return { name, path, size: sizeBytes, mode: text, isDir, isSymlink: type === "symlink", symlinkTarget, modifiedTime };
}

async function* pieces(body: Buffer): AsyncGenerator<Buffer> {
  yield body;
}
