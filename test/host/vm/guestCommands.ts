import { randomBytes } from "node:crypto";
import type { ExecRequest, GuestAgent, GuestExit, GuestIdentity } from "../../../provider/host/vm/guestAgent";

export interface Outcome extends GuestExit {
  stdout: string;
  stderr: string;
}

/** Runs a program in the guest to its end. */
export async function run(agent: GuestAgent, argv: string[], options: Partial<ExecRequest> = {}): Promise<Outcome> {
  const env = { PATH: "/usr/bin:/bin:/usr/sbin:/sbin" };
  const process = await agent.exec({ argv, env, ...options });
  const text = async (stream: AsyncIterable<Buffer>): Promise<string> => {
    let all = "";
    for await (const chunk of stream) all += chunk.toString();
    return all;
  };
  const [stdout, stderr, exit] = await Promise.all([text(process.stdout), text(process.stderr), process.exit]);
  return { ...exit, stdout, stderr };
}

export async function shell(agent: GuestAgent, script: string, options: Partial<ExecRequest> = {}): Promise<Outcome> {
  return run(agent, ["sh", "-c", script], options);
}

/** Command lines of all processes that the guest sees. */
export async function guestProcesses(agent: GuestAgent): Promise<string[]> {
  const script = 'for file in /proc/[0-9]*/cmdline; do tr "\\0" " " <$file 2>/dev/null; echo; done';
  return (await shell(agent, script)).stdout.split("\n").map((line) => line.trim());
}

export function newIdentity(): GuestIdentity {
  return {
    hostname: "test",
    machineId: randomBytes(16).toString("hex"),
    entropy: randomBytes(64),
    clockMs: Date.now(),
  };
}
