import * as z from "zod";
import type { VmCapabilities } from "../driver";
import { nativeBinary } from "../native";
import { runTool } from "../runTool";

/** How guest instructions are executed here, and why so. */
export interface Accelerator extends VmCapabilities {
  accelerator: "kvm" | "tcg";
}

const probe = z.object({ kvm: z.enum(["usable", "pvm", "unusable", "absent"]), reason: z.string() });
const measurement = z.object({ tscKhz: z.number().int().positive() });

/** KVM where a virtual CPU really runs, else emulation; `SANDBOXES_ACCELERATOR` (kvm, tcg) overrules. */
export async function chooseAccelerator(): Promise<Accelerator> {
  const wanted = process.env.SANDBOXES_ACCELERATOR;
  if (wanted === "tcg") return emulation("SANDBOXES_ACCELERATOR asks for emulation");
  if (wanted === "kvm") return hardware("SANDBOXES_ACCELERATOR asks for KVM");
  const output = await runTool(nativeBinary("spawner"), ["probe-kvm"], { timeoutMs: 10_000 });
  const { kvm, reason } = probe.parse(JSON.parse(output.toString()));
  return kvm === "usable" ? hardware(`KVM works: ${reason}`) : emulation(`KVM is ${kvm}: ${reason}`);
}

export function emulation(reason: string): Accelerator {
  return { accelerator: "tcg", isolation: "emulated", isApart: true, reason };
}

function hardware(reason: string): Accelerator {
  return { accelerator: "kvm", isolation: "hardware", isApart: true, reason };
}

/** Rate of the host's time stamp counter, kHz; differs by a few kHz from one measurement to the next. */
export async function measureTscKhz(): Promise<number> {
  const output = await runTool(nativeBinary("spawner"), ["measure-tsc"], { timeoutMs: 10_000 });
  return measurement.parse(JSON.parse(output.toString())).tscKhz;
}
