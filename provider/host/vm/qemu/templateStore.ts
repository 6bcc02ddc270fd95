import { randomUUID } from "node:crypto";
import { chmod, mkdir, open, readdir, readFile, rename, rm, stat, utimes, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import type { StaleTemplate, Template } from "../driver";
import { writableLayer } from "../writableLayer";
import { layerFile } from "./layerDisk";
import { removeVmDirectory } from "./qemuProcess";
import { templateFormatVersion } from "./templateKey";

/** A template with what is needed to clone it. */
export interface StoredTemplate extends Template {
  /** The guest's memory; never written again. */
  ramPath: string;
  /** Devices and CPUs, as QEMU saved them. */
  statePath: string;
  /** What the guest had written, where the writes of such a machine go to a disk; never written again. */
  diskPath: string;
  /** Rate of the host's counter that the guest was told. */
  tscKhz: number;
}

/** Templates on disk: a folder each, made under another name and renamed when it is complete. */
export interface TemplateStore {
  /** Undefined for what is absent, incomplete or of another format. */
  load(key: string): Promise<StoredTemplate | undefined>;
  list(): Promise<StoredTemplate[]>;
  /** Those that `load` does not find, or that are not `usable`. */
  stale(usable: (template: StoredTemplate) => boolean): Promise<StaleTemplate[]>;
  remove(key: string): Promise<void>;
  /** Notes the use, which `list` orders by. */
  touch(key: string): Promise<void>;
  /** An own directory for a build. */
  workDirectory(): string;
  /** Moves `ram`, `state` and, where there is one, `disk` out of the work directory and into their place under the key. */
  publish(work: string, meta: TemplateMeta): Promise<StoredTemplate>;
  /** Ends and removes builds that an earlier process left; what cannot be removed is left for the next time. */
  removeLeftovers(): Promise<void>;
}

const metaSchema = z.object({
  formatVersion: z.literal(templateFormatVersion),
  key: z.string(),
  spec: z.object({
    rootfsPath: z.string(),
    rootfsDigest: z.string(),
    vcpus: z.number(),
    memoryMiB: z.number(),
    diskMiB: z.number(),
    warmUp: z.array(z.array(z.string())).optional(),
    program: z.object({ env: z.record(z.string(), z.string()), cwd: z.string(), user: z.string() }).optional(),
  }),
  createdAt: z.string(),
  bootMs: z.number(),
  tscKhz: z.number(),
  ramBytes: z.number(),
  stateBytes: z.number(),
  /** 0 where there is none. */
  diskBytes: z.number(),
});
type StoredMeta = z.infer<typeof metaSchema>;
export type TemplateMeta = Omit<StoredMeta, "formatVersion" | "ramBytes" | "stateBytes" | "diskBytes">;

const noFile = { size: 0, blocks: 0 };
const buildPrefix = ".build-";
const files = { ram: "ram", state: "state", disk: layerFile, meta: "meta.json" };

export function createTemplateStore(root: string): TemplateStore {
  const folderOf = (key: string): string => join(root, key);

  const load = async (key: string): Promise<StoredTemplate | undefined> => {
    const folder = folderOf(key);
    try {
      const meta = metaSchema.parse(JSON.parse(await readFile(join(folder, files.meta), "utf8")));
      const ram = await stat(join(folder, files.ram));
      const state = await stat(join(folder, files.state));
      const disk = meta.diskBytes > 0 ? await stat(join(folder, files.disk)) : noFile;
      const sizes = [ram.size, state.size, disk.size];
      const expected = [meta.ramBytes, meta.stateBytes, meta.diskBytes];
      if (meta.key !== key || sizes.some((size, index) => size !== expected[index])) return undefined;
      return describe(folder, meta, (ram.blocks + disk.blocks) * 512 + state.size);
    } catch {
      // Absent, damaged and of another format are one to the caller: it builds anew.
      return undefined;
    }
  };

  return {
    load,
    async list() {
      const keys = await readdir(root).catch(() => []);
      const found = await Promise.all(
        keys.map(async (key) => {
          const template = key.startsWith(".") ? undefined : await load(key);
          return template && { template, usedMs: (await stat(join(folderOf(key), files.meta))).mtimeMs };
        }),
      );
      const known = found.filter((entry) => entry !== undefined);
      return known.sort((a, b) => b.usedMs - a.usedMs).map((entry) => entry.template);
    },
    async stale(usable) {
      const keys = (await readdir(root).catch(() => [])).filter((key) => !key.startsWith("."));
      const found = await Promise.all(
        keys.map(async (key) => {
          const template = await load(key);
          return template && usable(template) ? [] : [{ key, sizeBytes: await bytesOnDisk(folderOf(key)) }];
        }),
      );
      return found.flat();
    },
    async remove(key) {
      await removeFolder(root, folderOf(key));
    },
    async touch(key) {
      const now = new Date();
      // Removed meanwhile: nothing to note.
      await utimes(join(folderOf(key), files.meta), now, now).catch(() => undefined);
    },
    workDirectory: () => join(root, `${buildPrefix}${randomUUID()}`),
    async publish(work, meta) {
      const folder = join(work, "template");
      await mkdir(folder, { mode: 0o700 });
      const hasDisk = writableLayer(meta.spec) === "disk";
      for (const name of [files.ram, files.state, ...(hasDisk ? [files.disk] : [])]) {
        await rename(join(work, name), join(folder, name));
      }
      const ramBytes = await seal(join(folder, files.ram));
      const stateBytes = await seal(join(folder, files.state));
      const diskBytes = hasDisk ? await seal(join(folder, files.disk)) : 0;
      const stored: StoredMeta = { ...meta, formatVersion: templateFormatVersion, ramBytes, stateBytes, diskBytes };
      await writeFile(join(folder, files.meta), JSON.stringify(stored, undefined, 2), { mode: 0o600, flush: true });
      // One of the key that could not be loaded stands in the way.
      await removeFolder(root, folderOf(meta.key));
      await rename(folder, folderOf(meta.key));
      const template = await load(meta.key);
      if (!template) throw new Error(`the template in "${folderOf(meta.key)}" cannot be read back`);
      return template;
    },
    async removeLeftovers() {
      const names = await readdir(root).catch(() => []);
      const leftovers = names.filter((name) => name.startsWith("."));
      await Promise.allSettled(leftovers.map((name) => removeVmDirectory(join(root, name))));
    },
  };
}

function describe(folder: string, meta: StoredMeta, sizeBytes: number): StoredTemplate {
  const { key, spec, createdAt, bootMs, tscKhz } = meta;
  const at = (name: string): string => join(folder, name);
  const paths = { ramPath: at(files.ram), statePath: at(files.state), diskPath: at(files.disk) };
  return { key, spec, createdAt, bootMs, sizeBytes, tscKhz, ...paths };
}

/** On disk for certain, and read-only where QEMU can live with it: without root it has to open memory for writing. */
async function seal(path: string): Promise<number> {
  const handle = await open(path, "r");
  try {
    await handle.sync();
    const isRoot = process.getuid?.() === 0;
    await chmod(path, isRoot ? 0o400 : 0o600);
    return (await handle.stat()).size;
  } finally {
    await handle.close();
  }
}

async function bytesOnDisk(folder: string): Promise<number> {
  const names = await readdir(folder).catch(() => []);
  const sizes = names.map((name) =>
    stat(join(folder, name)).then(
      ({ blocks }) => blocks * 512,
      () => 0, // It is gone already.
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}

/** Out of sight first, so that nobody finds half a template. */
async function removeFolder(root: string, folder: string): Promise<void> {
  const doomed = join(root, `.removed-${randomUUID()}`);
  const moved = await rename(folder, doomed).then(
    () => true,
    (error: NodeJS.ErrnoException) => {
      if (error.code === "ENOENT") return false;
      throw error;
    },
  );
  if (moved) await rm(doomed, { recursive: true, force: true });
}
