import { SandboxesError } from "../../client/errors";
import type { VmCapabilities } from "../vm/driver";

/** Refuses properties that require hardware isolation on a host that cannot give it. */
export function checkIsolation(properties: Record<string, unknown>, capabilities: VmCapabilities): void {
  if (properties.requireHardwareIsolation !== true || capabilities.isolation === "hardware") return;
  throw new SandboxesError(
    "IsolationUnavailable",
    `Cannot give hardware isolation: this host runs sandboxes with "${capabilities.accelerator}" (${capabilities.reason})`,
    { field: "properties.requireHardwareIsolation", hint: "`sandboxes doctor` says what is missing" },
  );
}
