import { readFile, rename, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { SandboxesError } from "../../../client/errors";
import type { CloneOptions, TemplateSpec } from "../driver";
import type { LaunchContext } from "./launch";

/** What has to be the same for a saved machine to go on. */
export const machineFacts = z.object({
  formatVersion: z.literal(1),
  spec: z.object({
    rootfsPath: z.string(),
    rootfsDigest: z.string(),
    vcpus: z.number(),
    memoryMiB: z.number(),
    diskMiB: z.number(),
  }),
  accelerator: z.enum(["kvm", "tcg"]),
  qemuVersion: z.string(),
  hostCpu: z.string(),
  /** As the one that made it asked. */
  cpuMillis: z.number().optional(),
});
export type MachineFacts = z.infer<typeof machineFacts>;

export const factsFile = "machine.json";

export function factsOf(
  { environment, accelerator }: LaunchContext,
  spec: TemplateSpec,
  { cpuMillis }: Pick<CloneOptions, "cpuMillis">,
): MachineFacts {
  const { rootfsPath, rootfsDigest, vcpus, memoryMiB, diskMiB } = spec;
  const { qemuVersion, hostCpu } = environment;
  const kept = { rootfsPath, rootfsDigest, vcpus, memoryMiB, diskMiB };
  return { formatVersion: 1, spec: kept, accelerator, qemuVersion, hostCpu, cpuMillis };
}

/** Notes them in the VM's directory, for the process that saves it, which may be a later one. */
export async function writeFacts(directory: string, facts: MachineFacts): Promise<void> {
  const path = join(directory, factsFile);
  await writeFile(`${path}.new`, JSON.stringify(facts), { mode: 0o600 });
  await rename(`${path}.new`, path);
}

export async function readFacts(directory: string): Promise<MachineFacts> {
  return machineFacts.parse(JSON.parse(await readFile(join(directory, factsFile), "utf8")));
}

/** Throws `Conflict` where a machine that was saved under those facts cannot go on. */
export function checkFacts(facts: MachineFacts, { environment, accelerator }: LaunchContext): void {
  const differ = (what: string, then: string, now: string) =>
    new SandboxesError("Conflict", `it was saved under ${what} ${then}, and this host has ${now}`, {
      hint: "only the same kind of machine and QEMU can let it go on",
    });
  // Emulation is at hand everywhere.
  if (facts.accelerator === "kvm" && accelerator !== "kvm") throw differ("the accelerator", "KVM", "none");
  if (facts.accelerator === "kvm" && facts.hostCpu !== environment.hostCpu) {
    throw differ("the processor", facts.hostCpu, environment.hostCpu);
  }
  // A distribution's updates keep these two numbers, and the form of what is saved.
  const release = (version: string) => version.split(".").slice(0, 2).join(".");
  if (release(facts.qemuVersion) !== release(environment.qemuVersion)) {
    throw differ("QEMU", facts.qemuVersion, environment.qemuVersion);
  }
}
