import { readFile, rename, rm, writeFile } from "node:fs/promises";
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
  if (/^[a-z0-9-]{1,64}$/.test(vmId)) return join(root, vmId);
  throw new SandboxesError("Invalid", `"${vmId}" is no id of a virtual machine`);
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
  // Without a record the host was killed while it started this VM: the process is found by its working directory.
  for (const process of record ? [record.process] : await processesIn(directory, names)) await killAndWait(process);
  await rm(directory, { recursive: true, force: true });
}
