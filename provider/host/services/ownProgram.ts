import { ownProgramId } from "../../client/wire/background";
import type { SandboxRecord } from "../store/sandboxStore";
import type { Vm } from "../vm/driver";
import type { HostLog } from "./hostLog";
import type { SandboxNetwork } from "./sandboxNetwork";

/**
 * Starts what a sandbox itself runs, its image's command for one, in its background. A sandbox stays when its program
 * ends or cannot start, as on Azure.
 */
export function startOwnProgram(
  record: SandboxRecord,
  vm: Vm,
  { network, log }: { network?: SandboxNetwork; log: HostLog },
): void {
  const { id, program } = record;
  if (!program?.argv.length) return;
  const run = async () => {
    const { argv, user, workingDirectory: cwd } = program;
    const env = { ...(await network?.environment(record)), ...program.env };
    await vm.agent.background.start(ownProgramId, { argv, env, user, cwd });
  };
  run().catch((error: unknown) => log.warn({ sandbox: id, error: String(error) }, "the sandbox's own program failed"));
}
