import { link, open, readdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import type { TemplateSpec } from "../driver";
import { runTool } from "../runTool";
import { writableLayer } from "../writableLayer";
import { emptyOverlay } from "./qcow2";

/** The writable disk of a VM, as QEMU is told of it. */
export interface LayerDisk {
  path: string;
  /** What the file holds is relative to this one, which is never written. */
  base?: string;
}

/** Of a VM that boots, or a template: a sparse file that holds an ext4. */
export const layerFile = "disk";
/** Of a clone: what differs from its template's disk, and that disk by a name of the clone's own. */
const overlayFile = "disk.qcow2";
const baseFile = "disk.base";

const mib = 1024 * 1024;

/** What the guest sees, bytes: its share of the limit is less than 0.1 %, so that no format of the file exceeds it. */
function layerBytes(diskMiB: number): number {
  return (diskMiB - Math.ceil(diskMiB / 4096) - 1) * mib;
}

/**
 * Nothing of the machine's own defaults. No journal and no checksums: the disk does not outlive its machine. Tables of
 * inodes are not written before they are used, and what is written at once lies together.
 */
const features =
  "none,dir_index,dir_nlink,ext_attr,extent,extra_isize,filetype,flex_bg,huge_file,large_file,sparse_super,uninit_bg";
const format = [
  ...["-q", "-F", "-t", "ext4", "-b", "4096", "-I", "256", "-i", "8192", "-m", "0"],
  ...["-O", features, "-E", "lazy_itable_init=1,packed_meta_blocks=1,nodiscard"],
];

/**
 * Makes an empty disk in the directory, where the writes of such a machine go to one; takes milliseconds and a quarter of
 * a MiB, whatever its size.
 */
export async function formatLayer(
  directory: string,
  spec: TemplateSpec,
  signal?: AbortSignal,
): Promise<LayerDisk | undefined> {
  if (writableLayer(spec) === "memory") return undefined;
  const path = join(directory, layerFile);
  await using file = await open(path, "wx", 0o600);
  await file.truncate(layerBytes(spec.diskMiB));
  await runTool("mke2fs", [...format, path], { signal });
  return { path };
}

/** Makes a disk in the directory that begins as the template's and keeps what is written to itself. */
export async function overlayLayer(directory: string, templateDisk: string, spec: TemplateSpec): Promise<void> {
  if (writableLayer(spec) === "memory") return;
  // The template may be removed while the clone lives.
  await link(templateDisk, join(directory, baseFile));
  await writeFile(join(directory, overlayFile), emptyOverlay(layerBytes(spec.diskMiB)), { flag: "wx", mode: 0o600 });
}

/** The disk that one of the two above made in the directory. */
export async function findLayer(directory: string, spec: TemplateSpec): Promise<LayerDisk | undefined> {
  if (writableLayer(spec) === "memory") return undefined;
  const isClone = (await readdir(directory)).includes(overlayFile);
  if (!isClone) return { path: join(directory, layerFile) };
  return { path: join(directory, overlayFile), base: join(directory, baseFile) };
}
