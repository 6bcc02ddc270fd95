import { createHash, randomUUID } from "node:crypto";
import { constants } from "node:fs";
import { access, mkdir, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { cpus } from "node:os";
import { delimiter, join } from "node:path";
import { SandboxesError } from "../../../client/errors";
import { fileDigest } from "../fileDigest";
import { packInitramfs } from "../kernel/initramfs";
import { findKernel } from "../kernel/kernel";
import { nativeBinary } from "../native";
import { runTool } from "../runTool";
import { measureTscKhz } from "./accelerator";

/** All that a VM is made of besides its image and size; a template fits only the environment that made it. */
export interface Environment {
  qemuPath: string;
  qemuVersion: string;
  qemuDigest: string;
  kernelVersion: string;
  kernelPath: string;
  kernelDigest: string;
  initramfsPath: string;
  initramfsDigest: string;
  hostCpu: string;
  tscKhz: number;
}

const initramfsFolder = "initramfs";

/** Gathers the parts; the first time on a machine this fetches the kernel. */
export async function prepareEnvironment(dataDirectory: string, signal?: AbortSignal): Promise<Environment> {
  const qemuPath = await findQemu();
  const [qemuVersion, qemuDigest, kernel, agent, tscKhz] = await Promise.all([
    versionOf(qemuPath),
    fileDigest(qemuPath),
    findKernel({ signal }),
    readFile(nativeBinary("agent")),
    measureTscKhz(),
  ]);
  const initramfs = packInitramfs(agent, kernel.modules);
  const initramfsDigest = createHash("sha256").update(initramfs).digest("hex");
  return {
    qemuPath,
    qemuVersion,
    qemuDigest,
    kernelVersion: kernel.version,
    kernelPath: kernel.vmlinuxPath,
    kernelDigest: kernel.digest,
    initramfsPath: await keepInitramfs(dataDirectory, initramfsDigest, initramfs),
    initramfsDigest,
    hostCpu: cpus()[0]?.model ?? "unknown",
    tscKhz,
  };
}

/** `SANDBOXES_QEMU`, else qemu-system-x86_64 on PATH. */
export async function findQemu(): Promise<string> {
  const own = process.env.SANDBOXES_QEMU;
  const folders = [...(process.env.PATH ?? "").split(delimiter), "/usr/bin"];
  const candidates = own ? [own] : folders.map((folder) => join(folder, "qemu-system-x86_64"));
  for (const path of candidates) {
    const executable = await access(path, constants.X_OK).then(
      () => true,
      () => false,
    );
    if (executable) return path;
  }
  throw new SandboxesError("HostUnavailable", `cannot find QEMU: no executable "${own ?? "qemu-system-x86_64"}"`, {
    hint: "install qemu-system-x86, or set SANDBOXES_QEMU",
  });
}

/** Another one when QEMU has been replaced. */
export async function qemuStamp(): Promise<string> {
  const path = await findQemu();
  const { ino, size, mtimeMs } = await stat(path);
  return [path, ino, size, mtimeMs].join(" ");
}

/** `7.2.22`. */
export async function versionOf(qemuPath: string): Promise<string> {
  const output = await runTool(qemuPath, ["--version"], { timeoutMs: 20_000 });
  return /version (\S+)/.exec(output.toString())?.[1] ?? "unknown";
}

/** What an earlier process left half written. */
export async function removeUnfinished(dataDirectory: string): Promise<void> {
  const folder = join(dataDirectory, initramfsFolder);
  for (const name of await readdir(folder).catch(() => [])) {
    if (name.startsWith(".")) await rm(join(folder, name), { force: true });
  }
}

async function keepInitramfs(dataDirectory: string, digest: string, content: Buffer): Promise<string> {
  const folder = join(dataDirectory, initramfsFolder);
  const name = `${digest.slice(0, 32)}.cpio`;
  const path = join(folder, name);
  const work = join(folder, `.${randomUUID()}`);
  await mkdir(folder, { recursive: true });
  await writeFile(work, content);
  await rename(work, path);
  // Of earlier versions: a machine that runs has read its own.
  for (const other of await readdir(folder)) if (other !== name) await rm(join(folder, other), { force: true });
  return path;
}
