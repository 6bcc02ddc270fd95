import { spawn } from "node:child_process";
import { SandboxesError } from "../../client/errors";

export interface ToolOptions {
  cwd?: string;
  input?: Uint8Array;
  signal?: AbortSignal;
  /** Default one minute. */
  timeoutMs?: number;
  /** Default 256 MiB, for a kernel module or a package. */
  maxOutputBytes?: number;
}

/** Runs a system tool to its end and returns what it wrote; rejects with its last words when it fails. */
export async function runTool(program: string, args: string[], options: ToolOptions = {}): Promise<Buffer> {
  const { cwd, input, timeoutMs = 60_000, maxOutputBytes = 1 << 28 } = options;
  const signal = AbortSignal.any([AbortSignal.timeout(timeoutMs), ...(options.signal ? [options.signal] : [])]);
  return new Promise((resolve, reject) => {
    const child = spawn(program, args, {
      cwd,
      env: environment(),
      signal,
      stdio: ["pipe", "pipe", "pipe"],
      killSignal: "SIGKILL",
    });
    const output: Buffer[] = [];
    let size = 0;
    let complaint = "";
    child.stdout.on("data", (chunk: Buffer) => {
      size += chunk.length;
      if (size > maxOutputBytes) child.kill("SIGKILL");
      else output.push(chunk);
    });
    child.stderr.on("data", (chunk: Buffer) => {
      complaint = (complaint + chunk.toString()).slice(-2000);
    });
    // A tool that does not read its input to the end tells the reason by its exit code.
    child.stdin.on("error", () => {});
    child.stdin.end(input);
    child.once("error", (cause) => reject(failure(program, cause.message, cause)));
    child.once("close", (code, killedBy) => {
      if (code === 0) resolve(Buffer.concat(output));
      else reject(failure(program, `${killedBy ?? `exit code ${code}`}: ${complaint.trim() || "no message"}`));
    });
  });
}

/** With the folders of system tools, which users other than root may not have on their path. */
function environment(): NodeJS.ProcessEnv {
  return { ...process.env, PATH: [process.env.PATH, "/usr/sbin", "/sbin"].filter(Boolean).join(":") };
}

function failure(program: string, message: string, cause?: unknown): SandboxesError {
  return new SandboxesError("HostUnavailable", `${program} failed: ${message}`, { cause });
}
