import { randomBytes } from "node:crypto";
import { SandboxesError } from "../../client/errors";
import type { TemplateSpec } from "./driver";
import type { GuestAgent, GuestIdentity } from "./guestAgent";

/** How often the agent's own paths are walked; after five runs emulation has translated what they need. */
const pings = 15;
const rounds = 5;
/** A warm-up may import a large library under emulation. */
const warmUpLimitMs = 120_000;

type Program = NonNullable<TemplateSpec["program"]>;
const defaultProgram: Program = {
  env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", HOME: "/root" },
  cwd: "/",
  user: "root",
};

/**
 * Walks the paths that a sandbox will take, so that code and data are in memory (and, in a VM that stays alive,
 * translated) before the first request: programs start as the image's do. Rejects with `ExecFailed` when a command of the caller fails.
 */
export async function exercise(agent: GuestAgent, spec: Pick<TemplateSpec, "warmUp" | "program">): Promise<void> {
  const program = spec.program ?? defaultProgram;
  // Each sandbox does this again for itself; the first time in a guest is by far the slowest.
  await agent.refresh(nobody());
  for (let count = 0; count < pings; count++) await agent.ping();
  for (let count = 0; count < rounds; count++) await walkAgent(agent, program);
  for (const argv of spec.warmUp ?? []) await runCommand(agent, program, argv);
}

function nobody(): GuestIdentity {
  const machineId = "0".repeat(32);
  return { hostname: "sandbox", machineId, entropy: randomBytes(64), clockMs: Date.now() };
}

async function walkAgent(agent: GuestAgent, program: Program): Promise<void> {
  const path = "/tmp/.sandboxes-warm-up";
  await agent.list("/");
  // An image may have neither a shell nor a /tmp; what fails has warmed the path all the same.
  await run(agent, program, ["/bin/sh", "-c", "echo warm"]).catch(() => undefined);
  await run(agent, program, ["/bin/echo", "warm"]).catch(() => undefined);
  await agent
    .writeFile(path, once("warm"))
    .then(async () => {
      for await (const _chunk of await agent.readFile(path));
      await agent.remove(path);
    })
    .catch(() => undefined);
}

async function runCommand(agent: GuestAgent, program: Program, argv: string[]): Promise<void> {
  const { code, output } = await run(agent, program, argv);
  if (code === 0) return;
  const command = argv.join(" ").slice(0, 200);
  throw new SandboxesError("ExecFailed", `the warm-up "${command}" ended with ${code ?? "a signal"}: ${output}`);
}

async function run(
  agent: GuestAgent,
  program: Program,
  argv: string[],
): Promise<{ code: number | null; output: string }> {
  const process = await agent.exec({ argv, ...program, timeoutMs: warmUpLimitMs });
  let output = "";
  const drain = async (stream: AsyncIterable<Buffer>): Promise<void> => {
    for await (const chunk of stream) output = (output + chunk.toString()).slice(-500);
  };
  await Promise.all([drain(process.stdout), drain(process.stderr)]);
  return { code: (await process.exit).exitCode, output };
}

async function* once(text: string): AsyncIterable<Uint8Array> {
  yield Buffer.from(text);
}
