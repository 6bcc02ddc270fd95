import { resolve } from "node:path";
import type { TemplateSpec } from "../driver";
import { writableLayer } from "../writableLayer";
import type { Accelerator } from "./accelerator";
import type { Environment } from "./environment";
import type { LayerDisk } from "./layerDisk";

/** Where the guest's memory lives. */
export type Memory =
  | { kind: "own" }
  /** A template being made: what the guest writes goes to the file. */
  | { kind: "shared"; path: string }
  /** A clone: what the guest writes stays its own. */
  | { kind: "copyOnWrite"; path: string };

/** Descriptor of the device state for `migrate-incoming`, the first file after the two sockets. */
export const stateDescriptor = 5;

// Named once: source and clone must be the same machine, device by device.
const machineType = "microvm,x-option-roms=off,rtc=on,acpi=on,isa-serial=off,memory-backend=m";
// Where the host's disk is full the guest is told, and goes on.
const layerDevice = "virtio-blk-device,drive=layer,serial=layer,werror=report,rerror=report";
const seccomp = "on,obsolete=deny,elevateprivileges=deny,spawn=deny,resourcecontrol=deny";

/** The command line of QEMU; no network device, no default devices, two sockets inherited as descriptors 3 and 4. */
export function qemuArguments(
  environment: Environment,
  accelerator: Accelerator["accelerator"],
  spec: TemplateSpec,
  memory: Memory,
  layer: LayerDisk | undefined,
): string[] {
  const root = { "node-name": "root", ...readOnlyFile(resolve(spec.rootfsPath)) };
  return [
    environment.qemuPath,
    ...machineArguments(accelerator),
    ...["-m", `${spec.memoryMiB}M`, "-smp", `${spec.vcpus}`],
    ...["-object", JSON.stringify(memoryBackend(memory, spec.memoryMiB))],
    ...["-kernel", environment.kernelPath, "-initrd", environment.initramfsPath],
    ...["-append", kernelCommandLine(environment, accelerator, spec)],
    ...["-blockdev", JSON.stringify(root), "-device", "virtio-blk-device,drive=root,serial=root"],
    ...(layer ? ["-blockdev", JSON.stringify(layerNode(layer)), "-device", layerDevice] : []),
    ...["-chardev", "socket,id=agent,fd=3,server=on,wait=off"],
    ...["-device", "virtio-serial-device", "-device", "virtserialport,chardev=agent,name=agent,id=agent"],
    ...["-chardev", "socket,id=qmp,fd=4,server=on,wait=off", "-mon", "chardev=qmp,mode=control"],
    ...(memory.kind === "copyOnWrite" ? ["-incoming", "defer"] : []),
  ];
}

/** The part of the command line that is the same for every VM; a template's key contains it. */
export function machineArguments(accelerator: Accelerator["accelerator"]): string[] {
  return [
    ...["-M", machineType, "-accel", accelerator, "-cpu", accelerator === "kvm" ? "host" : "max"],
    ...["-nodefaults", "-no-user-config", "-no-reboot", "-display", "none", "-sandbox", seccomp],
  ];
}

/** What the kernel is told, but for the clock rate, which is measured anew at each start. */
export function kernelParameters(accelerator: Accelerator["accelerator"], spec: TemplateSpec): string {
  const layer = [`sandboxes.layer=${writableLayer(spec)}`, `sandboxes.disk_mib=${spec.diskMiB}`];
  const parameters = ["quiet", "panic=-1", "no_timer_check", "random.trust_cpu=on", ...layer];
  // Emulation caches translated code by address: with address randomisation each new process is translated again.
  if (accelerator === "tcg") parameters.push("tsc=reliable", "norandmaps");
  return parameters.join(" ");
}

function kernelCommandLine(
  environment: Environment,
  accelerator: Accelerator["accelerator"],
  spec: TemplateSpec,
): string {
  const parameters = kernelParameters(accelerator, spec);
  // An emulated guest calibrates its clock against an emulated timer, which hangs for ever on a busy host.
  return accelerator === "tcg" ? `${parameters} tsc_early_khz=${environment.tscKhz}` : parameters;
}

/** Writes of the guest are in the file at once; that they are on the host's disk in time is nobody's wish. */
function layerNode({ path, base }: LayerDisk): Record<string, unknown> {
  const common = { "node-name": "layer", discard: "unmap", cache: { "no-flush": true } };
  const file = { driver: "file", filename: path, discard: "unmap" };
  if (base === undefined) return { ...common, driver: "raw", file };
  return { ...common, driver: "qcow2", file, backing: readOnlyFile(base) };
}

/** A file that others read too. */
function readOnlyFile(filename: string): Record<string, unknown> {
  return { driver: "raw", "read-only": true, file: { driver: "file", filename, locking: "off" } };
}

function memoryBackend(memory: Memory, memoryMiB: number): Record<string, unknown> {
  const size = memoryMiB * 1024 * 1024;
  if (memory.kind === "own") return { "qom-type": "memory-backend-ram", id: "m", size };
  const share = memory.kind === "shared";
  return { "qom-type": "memory-backend-file", id: "m", "mem-path": memory.path, size, share };
}
