import { createHash, randomUUID } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { SandboxesError } from "../../../client/errors";
import { cacheDirectory } from "../cacheDirectory";
import { runTool } from "../runTool";
import { extractVmlinux } from "./bzImage";
import { collectModules, type KernelModule } from "./modules";

export interface Kernel {
  /** `6.1.0-56-cloud-amd64`, or `own`. */
  version: string;
  /** Absolute path of an ELF kernel with a PVH entry. */
  vmlinuxPath: string;
  /** `sha256:…` of that file. */
  digest: string;
  modules: KernelModule[];
}

const metadata = z.object({ version: z.string(), digest: z.string() });
const debianPackage = "linux-image-cloud-amd64";

/**
 * The guest's kernel: the one of `SANDBOXES_KERNEL` and `SANDBOXES_KERNEL_MODULES`, else the newest in the cache, else
 * Debian's cloud kernel, fetched by apt-get.
 */
export async function findKernel(options: { signal?: AbortSignal } = {}): Promise<Kernel> {
  const own = process.env.SANDBOXES_KERNEL;
  if (own) return importOwn(own, process.env.SANDBOXES_KERNEL_MODULES);
  return (await cachedKernel()) ?? (await fetchDebianKernel(options.signal));
}

/** The kernel that `findKernel` would return without fetching anything. */
export async function cachedKernel(): Promise<Kernel | undefined> {
  const directories = await readdir(kernelsDirectory()).catch(() => []);
  const newestFirst = directories.filter((name) => /^\d/.test(name)).sort((a, b) => compareVersions(b, a));
  for (const name of newestFirst) {
    const kernel = await load(join(kernelsDirectory(), name));
    if (kernel) return kernel;
  }
  return undefined;
}

function kernelsDirectory(): string {
  return join(cacheDirectory(), "kernels");
}

function compareVersions(a: string, b: string): number {
  return a.localeCompare(b, "en", { numeric: true });
}

/** Undefined for what is not a whole kernel, as after a full disk. */
async function load(directory: string): Promise<Kernel | undefined> {
  const parsed = await readFile(join(directory, "kernel.json"), "utf8")
    .then((text) => metadata.safeParse(JSON.parse(text)))
    .catch(() => metadata.safeParse(undefined));
  if (!parsed.success) return undefined;
  const modules = await collectModules(join(directory, "modules"));
  return { ...parsed.data, vmlinuxPath: join(directory, "vmlinux"), modules };
}

async function importOwn(image: string, modulesDirectory: string | undefined): Promise<Kernel> {
  const vmlinux = await extractVmlinux(await readFile(image));
  const digest = digestOf(vmlinux);
  const directory = join(kernelsDirectory(), `own-${digest.slice(7, 23)}`);
  await mkdir(directory, { recursive: true });
  const path = join(directory, "vmlinux");
  await writeFile(`${path}.${process.pid}`, vmlinux);
  await rename(`${path}.${process.pid}`, path);
  const modules = modulesDirectory ? await collectModules(modulesDirectory) : [];
  return { version: "own", vmlinuxPath: path, digest, modules };
}

async function fetchDebianKernel(signal: AbortSignal | undefined): Promise<Kernel> {
  await mkdir(kernelsDirectory(), { recursive: true });
  const work = join(kernelsDirectory(), `.fetch-${randomUUID()}`);
  await mkdir(work);
  try {
    const packages = (await runTool("apt-cache", ["depends", debianPackage], { signal })).toString();
    const name = /Depends: (linux-image-\S+)/.exec(packages)?.[1];
    if (!name) throw new SandboxesError("HostUnavailable", `apt knows no kernel behind "${debianPackage}"`);
    await runTool("apt-get", ["download", name], { cwd: work, signal, timeoutMs: 300_000 });
    const archive = (await readdir(work)).find((file) => file.endsWith(".deb"));
    if (!archive) throw new SandboxesError("HostUnavailable", `apt-get download ${name} left no package`);
    await runTool("dpkg-deb", ["-x", archive, "unpacked"], { cwd: work, signal });
    return await keep(work, name.replace("linux-image-", ""), archive.split("_")[1] ?? "");
  } catch (cause) {
    throw new SandboxesError("HostUnavailable", `cannot fetch a guest kernel: ${(cause as Error).message}`, {
      cause,
      hint: "run `apt-get update`, or set SANDBOXES_KERNEL and SANDBOXES_KERNEL_MODULES to a kernel of your own",
    });
  } finally {
    await rm(work, { recursive: true, force: true });
  }
}

/** Moves what was unpacked into the cache; all of it at once, as the daemon may be stopped at any time. */
async function keep(work: string, version: string, packageVersion: string): Promise<Kernel> {
  const result = join(work, "result");
  await mkdir(result);
  const unpacked = join(work, "unpacked");
  const vmlinux = await extractVmlinux(await readFile(join(unpacked, "boot", `vmlinuz-${version}`)));
  await writeFile(join(result, "vmlinux"), vmlinux);
  const modules = [join(unpacked, "lib/modules", version), join(unpacked, "usr/lib/modules", version)];
  await rename(modules[0] as string, join(result, "modules")).catch(() =>
    rename(modules[1] as string, join(result, "modules")),
  );
  await writeFile(join(result, "kernel.json"), JSON.stringify({ version, digest: digestOf(vmlinux) }));
  const directory = join(kernelsDirectory(), `${packageVersion}_${version}`.replaceAll(/[^\w.~+-]/g, "_"));
  // Another process may have been first: its copy is as good.
  await rename(result, directory).catch(() => undefined);
  const kernel = await load(directory);
  if (!kernel) throw new SandboxesError("HostUnavailable", `the kernel in "${directory}" is damaged`);
  return kernel;
}

function digestOf(bytes: Uint8Array): string {
  return `sha256:${createHash("sha256").update(bytes).digest("hex")}`;
}
