import { createHash } from "node:crypto";
import type { TemplateSpec } from "../driver";
import type { Accelerator } from "./accelerator";
import type { Environment } from "./environment";
import { kernelParameters, machineArguments } from "./machine";

/** Raise when the files of a template or the state of the guest in it change their meaning. */
export const templateFormatVersion = 2;

/** Hash over everything a template depends on, so that a template found under its key is never stale. */
export function templateKey(
  environment: Environment,
  accelerator: Accelerator["accelerator"],
  spec: TemplateSpec,
): string {
  const parts = {
    templateFormatVersion,
    rootfs: spec.rootfsDigest,
    vcpus: spec.vcpus,
    memoryMiB: spec.memoryMiB,
    warmUp: spec.warmUp ?? [],
    program: spec.program && [Object.entries(spec.program.env).sort(), spec.program.cwd, spec.program.user],
    machine: machineArguments(accelerator),
    parameters: kernelParameters(accelerator, spec),
    qemu: [environment.qemuVersion, environment.qemuDigest],
    kernel: environment.kernelDigest,
    initramfs: environment.initramfsDigest,
    hostCpu: environment.hostCpu,
  };
  return createHash("sha256").update(JSON.stringify(parts)).digest("hex").slice(0, 40);
}
