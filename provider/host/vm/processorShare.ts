import { createHash } from "node:crypto";
import { access, constants, mkdir, readdir, readFile, rmdir, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";

/** Limits processes to a share of the processors, by control groups; one that outlives this process stays limited. */
export interface ProcessorShares {
  /** Why nothing is limited here; undefined where it is. */
  readonly missing: string | undefined;
  /** Lets the process, and what it starts, use so many thousandths of a processor. */
  limit(name: string, pid: number, millis: number): Promise<void>;
  /** For a process that has ended. Repeatable. */
  remove(name: string): Promise<void>;
  /** Removes the groups of processes that ended while nobody looked. */
  removeLeftovers(): Promise<void>;
  /** Leaves nothing of a look at what is possible here. */
  forget(): Promise<void>;
}

/** Where groups are made, and how a limit is written there. */
interface Hierarchy {
  directory: string;
  /** Repeatable; false where this user or this machine cannot. */
  prepare(): Promise<boolean>;
  write(group: string, quota: number): Promise<void>;
}

/** The kernel's own; shorter ones cost more switching. */
const periodUs = 100_000;
const ourGroup = "pulumi-sandboxes";
/** A process that was killed leaves its group when its last thread has ended, which takes its share of a processor. */
const removeWithinMs = 15_000;
const removePauseMs = 50;

/** `owner` keeps names apart: the path of a data directory. */
export async function openProcessorShares(owner: string): Promise<ProcessorShares> {
  const hierarchies = [await secondVersion(), await firstVersion()].filter((each) => each !== undefined);
  let hierarchy: Hierarchy | undefined;
  for (const each of hierarchies) if (!hierarchy && (await each.prepare())) hierarchy = each;
  if (!hierarchy) return nothing;
  const prefix = `${createHash("sha256").update(owner).digest("hex").slice(0, 12)}-`;
  const { directory, prepare, write } = hierarchy;
  const remove = (group: string): Promise<void> => removeGroup(join(directory, group));
  return {
    missing: undefined,
    async limit(name, pid, millis) {
      await prepare();
      const group = join(directory, `${prefix}${name}`);
      await mkdir(group, { recursive: true });
      // Before the process is in it: it is never in a group without a limit.
      await write(group, Math.round((millis * periodUs) / 1000));
      await writeFile(join(group, "cgroup.procs"), `${pid}`);
    },
    remove: (name) => remove(`${prefix}${name}`),
    async removeLeftovers() {
      const groups = await readdir(directory, { withFileTypes: true });
      const ours = groups.filter((group) => group.isDirectory() && group.name.startsWith(prefix));
      // One that a process still runs in cannot be removed, and stays.
      await Promise.all(ours.map(({ name }) => rmdir(join(directory, name)).catch(() => undefined)));
    },
    // Not where others have groups in it.
    forget: () => rmdir(directory).catch(() => undefined),
  };
}

const nothing: ProcessorShares = {
  missing: "this user may not make control groups with a limit of processor time",
  limit: async () => {},
  remove: async () => {},
  removeLeftovers: async () => {},
  forget: async () => {},
};

/** Below the root of cgroup2, which alone may hold processes and hand its controllers down. */
async function secondVersion(): Promise<Hierarchy | undefined> {
  const root = await mountOf("cgroup2", () => true);
  const controllers = root && (await readFile(join(root, "cgroup.controllers"), "utf8").catch(() => ""));
  if (!root || !controllers?.split(/\s/).includes("cpu")) return undefined;
  const directory = join(root, ourGroup);
  const prepare = async (): Promise<boolean> => {
    if (!(await makeGroup(directory))) return false;
    // Handed down already, or refused: the file that says which is looked for below.
    for (const group of [root, directory]) {
      await writeFile(join(group, "cgroup.subtree_control"), "+cpu").catch(() => undefined);
    }
    const handedDown = await readFile(join(directory, "cgroup.subtree_control"), "utf8");
    return handedDown.split(/\s/).includes("cpu");
  };
  return { directory, prepare, write: (group, quota) => writeFile(join(group, "cpu.max"), `${quota} ${periodUs}`) };
}

/** Older systems, and those that run both side by side. */
async function firstVersion(): Promise<Hierarchy | undefined> {
  const root = await mountOf("cgroup", (options) => options.includes("cpu"));
  if (!root) return undefined;
  const directory = join(root, ourGroup);
  const prepare = async (): Promise<boolean> =>
    (await makeGroup(directory)) && (await isWritable(join(directory, "cpu.cfs_quota_us")));
  const write = async (group: string, quota: number): Promise<void> => {
    await writeFile(join(group, "cpu.cfs_period_us"), `${periodUs}`);
    await writeFile(join(group, "cpu.cfs_quota_us"), `${quota}`);
  };
  return { directory, prepare, write };
}

async function mountOf(type: string, accept: (options: string[]) => boolean): Promise<string | undefined> {
  const mounts = await readFile("/proc/self/mounts", "utf8").catch(() => "");
  const fields = mounts.split("\n").map((line) => line.split(" "));
  return fields.find(([, , kind, options]) => kind === type && accept((options ?? "").split(",")))?.[1];
}

function makeGroup(directory: string): Promise<boolean> {
  return mkdir(directory, { recursive: true }).then(
    () => true,
    // Not ours to make: another user, or a read-only mount.
    () => false,
  );
}

function isWritable(path: string): Promise<boolean> {
  return access(path, constants.W_OK).then(
    () => true,
    () => false,
  );
}

/** One that stays busy is left to `removeLeftovers`: what ran in it is gone all the same. */
async function removeGroup(path: string): Promise<void> {
  const deadline = Date.now() + removeWithinMs;
  for (let attempt = 1; ; attempt++) {
    const error = await rmdir(path).then(
      () => undefined,
      (failure: NodeJS.ErrnoException) => failure,
    );
    if (!error || error.code === "ENOENT") return;
    if (error.code !== "EBUSY") throw error;
    if (Date.now() > deadline) return;
    await delay(Math.min(attempt, removePauseMs));
  }
}
