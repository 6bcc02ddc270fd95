import { z } from "zod";
import { SandboxesError } from "../../../client/errors";
import { startTool, ToolFailure } from "../toolProcess";
import type { RegistryLogin } from "./authFiles";

const answerSchema = z.looseObject({ Username: z.string(), Secret: z.string() });
/** Helpers ask clouds for tokens; one that asks a person is of no use here. */
const answerWithinMs = 30_000;
const answerBytes = 64 * 1024;

/**
 * What `docker-credential-NAME` has for a registry; undefined where it has nothing.
 * Protocol: https://github.com/docker/docker-credential-helpers
 */
export async function credentialsFromHelper(
  name: string,
  registry: string,
  signal: AbortSignal,
): Promise<RegistryLogin | undefined> {
  const tool = `docker-credential-${name}`;
  if (!/^[A-Za-z0-9._-]+$/.test(name)) throw unusable(tool, "its name is none of a program");
  const limit = AbortSignal.timeout(answerWithinMs);
  try {
    const answer = await ask(tool, registry, AbortSignal.any([signal, limit]));
    const { Username: username, Secret: secret } = answerSchema.parse(JSON.parse(answer));
    return username === "<token>" ? { identityToken: secret } : { username, password: secret };
  } catch (error) {
    signal.throwIfAborted();
    if (limit.aborted) throw unusable(tool, `it did not answer within ${answerWithinMs / 1000} s`);
    if (error instanceof ToolFailure) {
      // What it says may be about secrets; only this one sentence is told of, and is not an error.
      if (/credentials not found/i.test(error.stderr)) return undefined;
      throw unusable(tool, "it failed");
    }
    if (error instanceof SandboxesError) throw error;
    throw unusable(tool, "its answer cannot be understood");
  }
}

async function ask(tool: string, registry: string, signal: AbortSignal): Promise<string> {
  const running = startTool({ tool, args: ["get"], stdin: "pipe", stdout: "pipe", signal });
  const parts: Buffer[] = [];
  let size = 0;
  running.child.stdout?.on("data", (part: Buffer) => {
    size += part.length;
    if (size <= answerBytes) parts.push(part);
  });
  // One that ends without reading tells why by its exit code.
  running.child.stdin?.on("error", () => undefined).end(`${registry}\n`);
  try {
    await running.done;
  } catch (error) {
    // It says on stdout that it has none.
    throw error instanceof ToolFailure ? new ToolFailure(tool, `${error.stderr} ${Buffer.concat(parts)}`) : error;
  }
  return Buffer.concat(parts).toString();
}

function unusable(tool: string, why: string): SandboxesError {
  return new SandboxesError("HostUnavailable", `the host's credential helper ${tool}: ${why}`, {
    hint: "mend it on the host, or give credentials with the image",
  });
}
