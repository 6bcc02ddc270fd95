import type { SandboxRecord } from "../store/sandboxStore";
import type { Vm } from "../vm/driver";
import type { HostLog } from "./hostLog";
import type { ProgramOutput } from "./programOutput";
import type { SandboxNetwork } from "./sandboxNetwork";

/**
 * Starts what a sandbox itself runs, its image's command for one. A sandbox stays when its program ends or cannot
 * start, as on Azure.
 */
export function startOwnProgram(
  record: SandboxRecord,
  vm: Vm,
  { network, output, log }: { network?: SandboxNetwork; output?: Pick<ProgramOutput, "collect">; log: HostLog },
): void {
  const { id, program } = record;
  if (!program?.argv.length) return;
  const run = async () => {
    const { argv, user } = program;
    const env = { ...(await network?.environment(record)), ...program.env };
    const started = await vm.agent.exec({ argv, env, user, cwd: program.workingDirectory, detached: true });
    output?.collect(id, started);
    // Nobody else reads it, and an unread stream would stop the program.
    started.stdout.resume();
    started.stderr.resume();
    // Told to nobody: it goes on when the connection ends, with a stop of the sandbox or of the host.
    await started.exit.catch(() => undefined);
  };
  run().catch((error: unknown) => log.warn({ sandbox: id, error: String(error) }, "the sandbox's own program failed"));
}
