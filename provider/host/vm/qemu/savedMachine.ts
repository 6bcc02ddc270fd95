import { mkdir, open, readdir, readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { basename, dirname, join } from "node:path";
import * as z from "zod";
import type { SavedVm } from "../driver";
import { runTool } from "../runTool";
import { factsFile, type MachineFacts, machineFacts } from "./machineFacts";
import { traces } from "./qemuProcess";

/** A machine on disk; its memory and state are as a template's. */
export interface SavedMachine extends SavedVm {
  directory: string;
  facts: MachineFacts;
  ramPath: string;
  statePath: string;
}

const metaSchema = z.object({
  formatVersion: z.literal(1),
  facts: machineFacts,
  savedAt: z.string(),
  ramBytes: z.number(),
  stateBytes: z.number(),
});

const files = { ram: "ram", state: "state", meta: "meta.json", own: "files" };
/** In a VM's directory what is there only while it runs, or is made anew; all other files are the machine's own. */
const notItsOwn = [...traces, factsFile, `${factsFile}.new`];
const copyLimitMs = 10 * 60_000;

/**
 * Makes `directory` hold a machine: complete and on disk for certain, or not there at all. `save` writes memory and
 * state, and stops the VM in `own.directory`, whose own files are copied along or, if they are to stay, written out.
 */
export async function writeSaved(
  directory: string,
  facts: MachineFacts,
  save: (paths: { ramPath: string; statePath: string }) => Promise<void>,
  own: { directory: string; copy: boolean },
): Promise<SavedMachine> {
  const work = workOf(directory);
  await rm(work, { recursive: true, force: true });
  await mkdir(work, { mode: 0o700, recursive: true });
  try {
    await save({ ramPath: join(work, files.ram), statePath: join(work, files.state) });
    if (own.copy) await copyOwnFiles(own.directory, join(work, files.own));
    else for (const path of await ownFiles(own.directory)) await syncFile(path);
    const ramBytes = (await stat(join(work, files.ram))).size;
    const stateBytes = (await stat(join(work, files.state))).size;
    const meta = { formatVersion: 1, facts, savedAt: new Date().toISOString(), ramBytes, stateBytes };
    await writeFile(join(work, files.meta), JSON.stringify(meta, undefined, 2), { mode: 0o600, flush: true });
    await syncDirectory(work);
    await rename(work, directory);
    await syncDirectory(dirname(directory));
  } catch (error) {
    await rm(work, { recursive: true, force: true });
    throw error;
  }
  const saved = await readSaved(directory);
  if (!saved) throw new Error(`the machine saved in "${directory}" cannot be read back`);
  return saved;
}

/** Undefined where there is none, or none that this version understands. */
export async function readSaved(directory: string): Promise<SavedMachine | undefined> {
  const text = await readFile(join(directory, files.meta), "utf8").catch(() => undefined);
  const meta = text === undefined ? undefined : metaSchema.safeParse(parseJson(text)).data;
  if (!meta) return undefined;
  const ramPath = join(directory, files.ram);
  const statePath = join(directory, files.state);
  const [ram, state] = await Promise.all([ramPath, statePath].map((path) => stat(path).catch(() => undefined)));
  if (ram?.size !== meta.ramBytes || state?.size !== meta.stateBytes) return undefined;
  const sizeBytes = await bytesOnDisk([ramPath, statePath, ...(await filesIn(join(directory, files.own)))]);
  return { directory, facts: meta.facts, savedAt: meta.savedAt, ramPath, statePath, sizeBytes };
}

/** Gives a VM the files of its own that it was saved with. */
export async function placeOwnFiles(saved: SavedMachine, vmDirectory: string): Promise<void> {
  for (const path of await filesIn(join(saved.directory, files.own))) await copyFile(path, vmDirectory);
}

/** Of a VM that runs or was suspended where it is. */
export async function ownFiles(vmDirectory: string): Promise<string[]> {
  const all = await filesIn(vmDirectory);
  return all.filter((path) => !notItsOwn.includes(basename(path)));
}

/** What a save or a removal leaves that is cut off. */
export async function removeUnfinishedSave(directory: string): Promise<void> {
  for (const path of [workOf(directory), doomedOf(directory)]) await rm(path, { recursive: true, force: true });
}

/** Out of sight first. */
export async function removeSaved(directory: string): Promise<void> {
  const doomed = doomedOf(directory);
  await rm(doomed, { recursive: true, force: true });
  await rename(directory, doomed);
  await rm(doomed, { recursive: true, force: true });
}

function workOf(directory: string): string {
  return `${directory}.new`;
}

function doomedOf(directory: string): string {
  return `${directory}.removed`;
}

async function copyOwnFiles(vmDirectory: string, target: string): Promise<void> {
  const own = await ownFiles(vmDirectory);
  if (own.length === 0) return;
  await mkdir(target, { mode: 0o700 });
  for (const path of own) await copyFile(path, target);
  for (const path of await filesIn(target)) await syncFile(path);
  await syncDirectory(target);
}

/** Shares blocks where the file system can, and keeps holes. */
async function copyFile(path: string, folder: string): Promise<void> {
  const how = ["--reflink=auto", "--sparse=always", "--preserve=mode"];
  await runTool("cp", [...how, "--", path, `${folder}/`], { timeoutMs: copyLimitMs });
}

async function filesIn(folder: string): Promise<string[]> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  return entries.filter((entry) => entry.isFile()).map((entry) => join(folder, entry.name));
}

/** What files take without their holes. */
export async function bytesOnDisk(paths: string[]): Promise<number> {
  const sizes = await Promise.all(paths.map(async (path) => (await stat(path)).blocks * 512));
  return sizes.reduce((sum, size) => sum + size, 0);
}

async function syncFile(path: string): Promise<void> {
  await using file = await open(path, "r");
  await file.sync();
}

const syncDirectory = syncFile;

function parseJson(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined; // Damaged, which is for the schema to say.
  }
}
