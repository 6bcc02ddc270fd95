import { runTool } from "../runTool";
import { findQemu, versionOf } from "./environment";

/** Path, version and whether the machine type that we use is there; rejects when there is no QEMU. */
export async function inspectQemu(): Promise<{ path: string; version: string; hasMicrovm: boolean }> {
  const path = await findQemu();
  const [version, machines] = await Promise.all([
    versionOf(path),
    runTool(path, ["-machine", "help"], { timeoutMs: 20_000 }),
  ]);
  return { path, version, hasMicrovm: /^microvm\b/m.test(machines.toString()) };
}
