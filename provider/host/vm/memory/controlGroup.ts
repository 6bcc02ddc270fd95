import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rmdir } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

export interface ControlGroup {
  /** Where this machine has cgroup2 mounted. */
  mount: string;
  /** A group in it that is the VM's alone: agents in namespaces all have the same pid and would share one. */
  group: string;
}

const removeLimitMs = 5_000;

/** Undefined where there is no cgroup2, or no right to make groups: programs' trees are then found less surely. */
export async function makeControlGroup(vmDirectory: string): Promise<ControlGroup | undefined> {
  const place = await findPlace(vmDirectory);
  if (!place) return undefined;
  return mkdir(place.group, { recursive: true }).then(
    () => place,
    () => undefined,
  );
}

/** Repeatable; the processes in it have been killed. */
export async function removeControlGroup(vmDirectory: string): Promise<void> {
  const place = await findPlace(vmDirectory);
  if (place) await removeTree(place.group, Date.now() + removeLimitMs);
}

async function findPlace(vmDirectory: string): Promise<ControlGroup | undefined> {
  const mounts = (await readFile("/proc/self/mounts", "utf8")).split("\n").map((line) => line.split(" "));
  const mount = mounts.find(([, , type]) => type === "cgroup2")?.[1];
  const name = `sandboxes-vm-${createHash("sha256").update(vmDirectory).digest("hex").slice(0, 16)}`;
  return mount === undefined ? undefined : { mount, group: join(mount, name) };
}

async function removeTree(folder: string, deadline: number): Promise<void> {
  const entries = await readdir(folder, { withFileTypes: true }).catch(() => []);
  for (const entry of entries) if (entry.isDirectory()) await removeTree(join(folder, entry.name), deadline);
  try {
    await rmdir(folder);
  } catch (error) {
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOENT") return;
    // The killed are still on their way out.
    if (code !== "EBUSY" || Date.now() > deadline) throw error;
    await delay(10);
    await removeTree(folder, deadline);
  }
}
