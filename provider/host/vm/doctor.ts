import { constants } from "node:fs";
import { access, readFile, statfs } from "node:fs/promises";
import { arch, homedir } from "node:os";
import { delimiter, dirname, join } from "node:path";
import { cachedKernel } from "./kernel/kernel";
import { nativeBinary } from "./native";
import { openProcessorShares } from "./processorShare";
import { chooseAccelerator, inspectQemu } from "./qemu";

export interface DoctorReport {
  /** True when sandboxes can run here; a tool that only some images need does not count. */
  ok: boolean;
  checks: DoctorCheck[];
}

export interface DoctorCheck {
  name: string;
  ok: boolean;
  /** What was found, for people. */
  found: string;
  /** What to do about it; also given where nothing is broken but something better is to be had. */
  mend?: string;
  /** False for what only some uses need. */
  required: boolean;
}

type Finding = Omit<DoctorCheck, "name" | "required">;

const gib = 1024 ** 3;
/** An image, a template and the kernel need about 1 GiB; the rest is room to work. */
const enoughDiskBytes = 3 * gib;
/** Two sandboxes of the default size. */
const enoughMemoryBytes = gib;

/** Tools by the Debian package that has them, and what they are for. */
const tools: { name: string; package: string; use: string; required: boolean }[] = [
  { name: "sqfstar", package: "squashfs-tools", use: "making image files", required: true },
  { name: "mke2fs", package: "e2fsprogs", use: "disks that do not fit into memory", required: true },
  { name: "skopeo", package: "skopeo", use: "images from docker archives", required: false },
  { name: "mmdebstrap", package: "mmdebstrap", use: "the catalogue's images", required: false },
  { name: "dpkg-deb", package: "dpkg", use: "unpacking the guest's kernel", required: false },
  { name: "apt-get", package: "apt", use: "fetching the guest's kernel", required: false },
  { name: "xz", package: "xz-utils", use: "kernels packed with xz", required: false },
];

/** What this machine can do, check by check. Changes nothing and downloads nothing. */
export async function inspectMachine(options: { dataDirectory?: string } = {}): Promise<DoctorReport> {
  const checks = await Promise.all([
    check("architecture", true, async () => architecture()),
    check("native programs", true, nativePrograms),
    check("QEMU", true, qemu),
    check("accelerator", true, accelerator),
    check("guest kernel", true, kernel),
    ...tools.map((tool) => check(tool.name, tool.required, () => findTool(tool))),
    check("processor shares", false, processorShares),
    check("disk", true, () => disk(options.dataDirectory ?? homedir())),
    check("memory", true, memory),
  ]);
  return { ok: checks.every((entry) => entry.ok || !entry.required), checks };
}

async function check(name: string, required: boolean, inspect: () => Promise<Finding>): Promise<DoctorCheck> {
  const finding = await inspect().catch((error: Error & { hint?: string }) => ({
    ok: false,
    found: error.message,
    mend: error.hint,
  }));
  return { name, required, ...finding };
}

function architecture(): Finding {
  const found = `${process.platform} ${arch()}`;
  return found === "linux x64" ? { ok: true, found } : { ok: false, found, mend: "use a Linux machine with x86-64" };
}

async function nativePrograms(): Promise<Finding> {
  return { ok: true, found: `${nativeBinary("spawner")}, ${nativeBinary("agent")}` };
}

async function qemu(): Promise<Finding> {
  const { path, version, hasMicrovm } = await inspectQemu();
  if (hasMicrovm) return { ok: true, found: `${version} (${path})` };
  return { ok: false, found: `${version} without the machine "microvm"`, mend: "apt-get install qemu-system-x86" };
}

async function accelerator(): Promise<Finding> {
  const { accelerator: name, reason } = await chooseAccelerator();
  if (name === "kvm") return { ok: true, found: `kvm: ${reason}` };
  const mend = "for untrusted code use a machine on which KVM works: emulation is slow and no security boundary";
  return { ok: true, found: `tcg (emulation): ${reason}`, mend };
}

async function processorShares(): Promise<Finding> {
  const { missing, forget } = await openProcessorShares("/");
  await forget();
  if (missing === undefined) return { ok: true, found: "parts of a processor (500m) are enforced" };
  const mend = "let the host run as root to enforce parts of a processor (500m); else they count as whole ones";
  return { ok: false, found: missing, mend };
}

async function kernel(): Promise<Finding> {
  const own = process.env.SANDBOXES_KERNEL;
  if (own) return { ok: await isThere(own, constants.R_OK), found: `SANDBOXES_KERNEL=${own}` };
  const cached = await cachedKernel();
  if (cached) return { ok: true, found: `${cached.version} (${cached.vmlinuxPath})` };
  const canFetch = await findOnPath("apt-get");
  if (canFetch) return { ok: true, found: "none yet: Debian's cloud kernel is fetched for the first sandbox" };
  const mend =
    "set SANDBOXES_KERNEL and SANDBOXES_KERNEL_MODULES to a kernel with virtio_mmio, squashfs, overlay and ext4";
  return { ok: false, found: "none, and no apt-get to fetch one", mend };
}

async function findTool(tool: (typeof tools)[number]): Promise<Finding> {
  const found = await findOnPath(tool.name);
  if (found) return { ok: true, found };
  return { ok: false, found: `not installed; needed for ${tool.use}`, mend: `apt-get install ${tool.package}` };
}

async function disk(directory: string): Promise<Finding> {
  const existing = await nearestExisting(directory);
  const { bavail, bsize } = await statfs(existing);
  return amount(bavail * bsize, enoughDiskBytes, `free at ${existing}`);
}

async function memory(): Promise<Finding> {
  const text = await readFile("/proc/meminfo", "utf8");
  const available = Number(/MemAvailable:\s+(\d+)/.exec(text)?.[1]) * 1024;
  return amount(available, enoughMemoryBytes, "available");
}

function amount(bytes: number, enough: number, where: string): Finding {
  const found = `${(bytes / gib).toFixed(1)} GiB ${where}`;
  return bytes >= enough ? { ok: true, found } : { ok: false, found, mend: `make ${enough / gib} GiB available` };
}

async function findOnPath(name: string): Promise<string | undefined> {
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/sbin", "/usr/bin"];
  for (const folder of folders) {
    if (await isThere(join(folder, name), constants.X_OK)) return join(folder, name);
  }
  return undefined;
}

async function nearestExisting(directory: string): Promise<string> {
  for (let folder = directory; ; folder = dirname(folder)) {
    if (folder === dirname(folder) || (await isThere(folder, constants.R_OK))) return folder;
  }
}

function isThere(path: string, mode: number): Promise<boolean> {
  return access(path, mode).then(
    () => true,
    () => false,
  );
}
