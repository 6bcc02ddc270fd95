import { spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { text } from "node:stream/consumers";
import { cacheDirectory } from "../../provider/host/vm/cacheDirectory";
import type { SdkHost } from "./sdkHost";

const folder = join(__dirname, "python");

/** The interpreter that has Azure's SDKs; see tools/setup/azureSdks.sh. */
export function pythonWithSdks(): string {
  const digest = createHash("sha256")
    .update(readFileSync(join(folder, "requirements.txt")))
    .digest("hex");
  const environment = join(cacheDirectory(), "azureSdks", digest.slice(0, 16));
  if (existsSync(join(environment, ".complete"))) return join(environment, "bin", "python");
  throw new Error("Azure's Python SDKs are not installed: run `bash tools/setup.sh azureSdks` first");
}

/** What a module of `python/scenarios` promises: each function without parameters, and how its name reads. */
export function scenariosOf(module: string): { name: string; title: string }[] {
  const source = readFileSync(join(folder, "scenarios", `${module}.py`), "utf8");
  return [...source.matchAll(/^(?:async )?def ([a-z]\w*)\(\)/gm)].map(([, name = ""]) => ({
    name,
    title: name.replaceAll("_", " "),
  }));
}

/**
 * Runs a Python program that uses a host to its end and gives what it printed. `args` as for python, from `test/sdk/python`;
 * throws all that program and host said if it failed.
 */
export async function runPython(args: string[], host: SdkHost, more: Record<string, string> = {}): Promise<string> {
  const child = spawn(pythonWithSdks(), args, {
    cwd: folder,
    env: {
      ...{ PATH: process.env.PATH, HOME: process.env.HOME, TMPDIR: process.env.TMPDIR },
      ...{ PYTHONDONTWRITEBYTECODE: "1", PYTHONUNBUFFERED: "1" },
      ...host.environment,
      // Where the synchronous and the asynchronous clients look for authorities to trust.
      ...{ REQUESTS_CA_BUNDLE: host.caFile, SSL_CERT_FILE: host.caFile },
      ...more,
    },
    stdio: ["ignore", "pipe", "pipe"],
  });
  const [stdout, stderr, code] = await Promise.all([
    text(child.stdout),
    text(child.stderr),
    new Promise<number | null>((resolve) => child.once("close", resolve)),
  ]);
  if (code !== 0) throw new Error(`python ${args.join(" ")} ended with ${code}:\n${stdout}${stderr}\n${host.warnings}`);
  return stdout;
}
