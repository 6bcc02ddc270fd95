import { readdir, readFile } from "node:fs/promises";
import { basename, join } from "node:path";
import { SandboxesError } from "../../../client/errors";
import { decompress } from "./bzImage";

/** What the guest needs before it can see its disks and its channel. */
const wanted = ["virtio_mmio", "virtio_console", "virtio_blk", "squashfs", "overlay", "ext4"];
/** For volumes; a guest without them works all the same. */
const optional = ["fuse"];

export interface KernelModule {
  name: string;
  content: Buffer;
}

/** The wanted modules with all they depend on, in the order of loading; those built into the kernel are left out. */
export async function collectModules(directory: string): Promise<KernelModule[]> {
  const files = new Map<string, string>();
  const builtIn = new Set<string>();
  for (const path of await readdir(directory, { recursive: true })) {
    if (/\.ko(\.(gz|xz|zst))?$/.test(path)) files.set(moduleName(path), join(directory, path));
    if (basename(path) === "modules.builtin") {
      const list = await readFile(join(directory, path), "utf8");
      for (const line of list.split("\n")) builtIn.add(moduleName(line));
    }
  }
  const ordered = new Map<string, KernelModule>();
  const add = async (name: string, neededBy: string): Promise<void> => {
    if (ordered.has(name) || builtIn.has(name)) return;
    const path = files.get(name);
    if (!path) {
      throw new SandboxesError("HostUnavailable", `the kernel has no module "${name}" in "${directory}" (${neededBy})`);
    }
    const content = await decompress(await readFile(path));
    for (const dependency of dependenciesOf(content)) await add(dependency, `needed by ${name}`);
    ordered.set(name, { name, content });
  };
  for (const name of wanted) await add(name, "needed by the guest");
  for (const name of optional) if (files.has(name)) await add(name, "needed for volumes");
  return [...ordered.values()];
}

function moduleName(path: string): string {
  return basename(path)
    .replace(/\.ko.*$/, "")
    .replaceAll("-", "_");
}

/** From the module itself: a package holds no modules.dep, that is made where it is installed. */
function dependenciesOf(module: Buffer): string[] {
  const start = module.indexOf("\0depends=");
  if (start < 0) return [];
  const value = start + "\0depends=".length;
  const names = module.toString("latin1", value, module.indexOf(0, value)).split(",");
  return names.filter(Boolean).map(moduleName);
}
