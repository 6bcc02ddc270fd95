import { randomBytes } from "node:crypto";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as Images from "../provider/host/images";
import type * as Cache from "../provider/host/vm/cacheDirectory";
import type { Template, TemplateSpec, VmDriver } from "../provider/host/vm/driver";
import type { GuestAgent, GuestIdentity } from "../provider/host/vm/guestAgent";
import type * as Qemu from "../provider/host/vm/qemu";
import { built } from "./built.ts";

export const echo = ["/bin/echo", "hi"];
export const python = ["/usr/bin/python3", "-c", "print(1)"];

export interface PythonMachines {
  driver: VmDriver;
  /** Of a sandbox with the given memory, else of the default size; warmed with `python`. */
  template(memoryMiB?: number): Promise<Template>;
  spec: TemplateSpec;
}

/** A driver of its own over the catalogue's python image; ends all of its machines when `work` does. */
export async function withPythonMachines<T>(work: (machines: PythonMachines) => Promise<T>): Promise<T> {
  const { createQemuDriver } = built<typeof Qemu>("host/vm/qemu");
  const dataDirectory = await mkdtemp(join(tmpdir(), "sandboxes-bench-"));
  const driver = await createQemuDriver({ dataDirectory });
  try {
    const { rootfsPath, rootfsDigest } = await pythonImage(dataDirectory);
    const spec: TemplateSpec = { rootfsPath, rootfsDigest, vcpus: 1, memoryMiB: 512, diskMiB: 10240, warmUp: [python] };
    const template = (memoryMiB = spec.memoryMiB): Promise<Template> => driver.ensureTemplate({ ...spec, memoryMiB });
    return await work({ driver, template, spec });
  } finally {
    for (const id of await driver.listVms()) await driver.destroy(id);
    await driver.close();
    await rm(dataDirectory, { recursive: true });
  }
}

/** Runs a program in a guest to its end; throws unless it exits with 0 and says something. */
export async function runInGuest(agent: GuestAgent, argv: string[]): Promise<void> {
  const process = await agent.exec({ argv, env: { PATH: "/usr/bin:/bin", HOME: "/root" } });
  process.stderr.resume();
  let output = "";
  for await (const chunk of process.stdout) output += chunk.toString();
  const { exitCode } = await process.exit;
  if (exitCode !== 0 || output === "") throw new Error(`${argv.join(" ")} ended with ${exitCode}, output "${output}"`);
}

/** Of a new machine, as the host gives it. */
export function identity(): GuestIdentity {
  const machineId = randomBytes(16).toString("hex");
  return { hostname: machineId.slice(0, 8), machineId, entropy: randomBytes(64), clockMs: Date.now() };
}

/** The catalogue's python, imported into a data directory; made once per machine. */
export async function pythonImage(dataDir: string): Promise<Images.StoredImage> {
  const { createImageStore } = built<typeof Images>("host/images");
  const { cacheDirectory } = built<typeof Cache>("host/vm/cacheDirectory");
  return createImageStore({ dataDir, cacheDir: join(cacheDirectory(), "images") }).import("python");
}
