import { type CpioEntry, packCpio } from "./cpio";
import type { KernelModule } from "./modules";

/** What a guest starts from: the agent as `/init`, modules in `/modules` and their order of loading in `/modules/order`. */
export function packInitramfs(agent: Uint8Array, modules: KernelModule[]): Buffer {
  const directory = (path: string): CpioEntry => ({ path, mode: 0o040755 });
  const order = modules.map((module) => `${module.name}.ko\n`).join("");
  return packCpio([
    directory("dev"),
    directory("proc"),
    directory("sys"),
    directory("modules"),
    { path: "init", mode: 0o100755, content: agent },
    { path: "modules/order", mode: 0o100644, content: Buffer.from(order) },
    ...modules.map((module) => ({ path: `modules/${module.name}.ko`, mode: 0o100644, content: module.content })),
  ]);
}
