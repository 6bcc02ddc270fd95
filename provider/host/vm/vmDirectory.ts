import { readFile, rename, rm, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import * as z from "zod";
import { SandboxesError } from "../../client/errors";
import { killAndWait, processesIn, processIdentity } from "./processes";

const recordFile = "vm.json";

const vmRecord = z.object({
  formatVersion: z.literal(1),
  process: processIdentity,
  /** False until the guest has answered once. */
  ready: z.boolean(),
});
export type VmRecord = Omit<z.infer<typeof vmRecord>, "formatVersion">;

/** The directory of a VM below `root`; an id can name nothing else. */
export function vmDirectory(root: string, vmId: string): string {
  if (isVmId(vmId)) return join(root, vmId);
  throw new SandboxesError("Invalid", `"${vmId}" is no id of a virtual machine`);
}

export function isVmId(text: string): boolean {
  return /^[a-z0-9-]{1,64}$/.test(text);
}

/** Notes which process runs the VM of this directory, for the host process after this one. */
export async function writeRecord(directory: string, record: VmRecord): Promise<void> {
  const path = join(directory, recordFile);
  await writeFile(`${path}.new`, JSON.stringify({ formatVersion: 1, ...record }), { mode: 0o600 });
  await rename(`${path}.new`, path);
}

/** Undefined also for a damaged record, as after a power loss. */
export async function readRecord(directory: string): Promise<VmRecord | undefined> {
  return readFile(join(directory, recordFile), "utf8")
    .then((text) => vmRecord.safeParse(JSON.parse(text)).data)
    .catch(() => undefined);
}

/** Ends the program (one of `names`) that runs in the directory and removes the directory. Repeatable. */
export async function removeVmDirectory(directory: string, names: string[]): Promise<void> {
  const record = await readRecord(directory);
  if (record) await killAndWait(record.process);
  else if (await isThere(directory)) await endProcessesIn(directory, names);
  else return;
  await rm(directory, { recursive: true, force: true, maxRetries: 5, retryDelay: 20 });
  // What was on its way in while we looked cannot make its files any more, but may run.
  if (!record) await endProcessesIn(directory, names);
}

/** For a VM whose start was cut off: nobody noted its process, which is found by its working directory. */
export async function endProcessesIn(directory: string, names: string[]): Promise<void> {
  for (;;) {
    const found = await processesIn(directory, names);
    if (found.length === 0) return;
    // Again: what was ended may have started another before.
    for (const process of found) await killAndWait(process);
  }
}

function isThere(path: string): Promise<boolean> {
  return stat(path).then(
    () => true,
    () => false,
  );
}
