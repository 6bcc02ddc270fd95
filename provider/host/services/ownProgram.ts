import type { SandboxRecord } from "../store/sandboxStore";
import type { Vm } from "../vm/driver";
import type { HostLog } from "./hostLog";

/**
 * Starts what a sandbox itself runs, its image's command for one. A sandbox stays when its program ends or cannot
 * start, as on Azure; what it prints is dropped.
 */
export function startOwnProgram({ id, program }: SandboxRecord, vm: Vm, log: HostLog): void {
  if (!program?.argv.length) return;
  const run = async () => {
    const { argv, env, user } = program;
    const started = await vm.agent.exec({ argv, env, user, cwd: program.workingDirectory });
    started.stdout.resume();
    started.stderr.resume();
    await started.exit;
  };
  run().catch((error: unknown) => log.warn({ sandbox: id, error: String(error) }, "the sandbox's own program failed"));
}
