import { createHash } from "node:crypto";
import { mkdir, readdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { join, resolve } from "node:path";
import * as z from "zod";
import { SandboxesError } from "../../../client/errors";
import { connectGuestAgent } from "../channel";
import type { ConnectAgent } from "../connectAgent";
import type { CloneOptions, SavedVm, Template, TemplateSpec, VmDriver } from "../driver";
import { isAlive } from "../processes";
import { createSharedWork } from "../sharedWork";
import { readRecord, vmDirectory, writeRecord } from "../vmDirectory";
import { agentProcesses, connectAgentProcess, findContainment, startAgentProcess } from "./container";
import { helloTimeoutMs, MemoryVm } from "./memoryVm";
import { removeMemoryVm } from "./removeMemoryVm";

const templateSchema = z.object({
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
  sizeBytes: z.number(),
  bootMs: z.number(),
});

const savedSchema = z.object({ savedAt: z.string(), sizeBytes: z.number() });

/**
 * For fast tests of everything above the driver: no VM and no image, only the real agent as a process that sees this
 * machine's own programs and files (writes go to a throw-away layer where namespaces can be made). It isolates nothing.
 */
export async function createMemoryDriver(options: { dataDirectory: string }): Promise<VmDriver> {
  const vmsDirectory = join(resolve(options.dataDirectory), "vms");
  const templatesDirectory = join(resolve(options.dataDirectory), "templates");
  const builds = createSharedWork<Template>();
  const vms = new Map<string, MemoryVm>();
  /** Suspended by this process. */
  const asleep = new Map<string, MemoryVm>();
  const containment = await findContainment();
  await mkdir(vmsDirectory, { recursive: true, mode: 0o700 });
  await mkdir(templatesDirectory, { recursive: true, mode: 0o700 });

  const templatePath = (key: string): string => join(templatesDirectory, `${key}.json`);
  const load = (key: string): Promise<Template | undefined> =>
    readFile(templatePath(key), "utf8").then(
      (text) => templateSchema.parse(JSON.parse(text)),
      () => undefined,
    );

  const build = async (key: string, spec: TemplateSpec, report: (message: string) => void): Promise<Template> => {
    const existing = await load(key);
    if (existing) return existing;
    report("nothing to boot: sandboxes are processes of this machine");
    const template = { key, spec, createdAt: new Date().toISOString(), sizeBytes: 0, bootMs: 0 };
    await writeFile(`${templatePath(key)}.new`, JSON.stringify(template));
    await rename(`${templatePath(key)}.new`, templatePath(key));
    return template;
  };

  /** Knows it for as long as it lives. */
  const keep = (vm: MemoryVm): void => {
    vms.set(vm.id, vm);
    void vm.exited.then(() => vms.get(vm.id) === vm && vms.delete(vm.id));
  };

  const start = async ({ vmId, paused, signal }: CloneOptions): Promise<MemoryVm> => {
    const directory = vmDirectory(vmsDirectory, vmId);
    signal?.throwIfAborted();
    await mkdir(directory, { mode: 0o700 }).catch((error) => {
      const isTaken = error.code === "EEXIST";
      throw isTaken ? new SandboxesError("Conflict", `the virtual machine "${vmId}" exists already`) : error;
    });
    try {
      const { identity } = await startAgentProcess(directory, containment);
      await writeRecord(directory, { process: identity, ready: false });
      const agent = await connectGuestAgent(await connectAgentProcess(directory, signal), { signal, helloTimeoutMs });
      const onDestroyed = (): void => void vms.delete(vmId);
      const vm = new MemoryVm(vmId, directory, identity, connectGuestAgent, { agent, paused: false, onDestroyed });
      keep(vm);
      await writeRecord(directory, { process: identity, ready: true });
      if (paused) await vm.pause();
      return vm;
    } catch (error) {
      vms.delete(vmId);
      await removeMemoryVm(directory);
      throw error;
    }
  };

  /** What an earlier host process left. */
  const find = async (vmId: string, { keepPrograms = false } = {}): Promise<MemoryVm | undefined> => {
    const directory = vmDirectory(vmsDirectory, vmId);
    const record = await readRecord(directory);
    if (!record?.ready || !(await isAlive(record.process))) return undefined;
    const paused = await isStopped(record.process.pid);
    const connect: ConnectAgent = (socket, options) => connectGuestAgent(socket, { ...options, keepPrograms });
    const agent = paused ? undefined : await connect(await connectAgentProcess(directory), { helloTimeoutMs });
    const onDestroyed = (): void => void vms.delete(vmId);
    const vm = new MemoryVm(vmId, directory, record.process, connect, { agent, paused, onDestroyed });
    keep(vm);
    return vm;
  };

  const savedPath = (vmId: string): string => join(vmDirectory(vmsDirectory, vmId), "saved.json");
  const suspended = (vmId: string): Promise<SavedVm | undefined> =>
    readFile(savedPath(vmId), "utf8").then(
      (text) => savedSchema.parse(JSON.parse(text)),
      () => undefined,
    );

  return {
    capabilities: {
      accelerator: "in-process",
      isolation: "none",
      isApart: containment === "namespaces",
      reason: `sandboxes are ordinary processes, for tests only (${containment === "none" ? "the host's files are open to them" : "writes go to a throw-away layer"})`,
    },
    ensureTemplate(spec, buildOptions = {}) {
      const key = createHash("sha256").update(JSON.stringify(spec)).digest("hex").slice(0, 40);
      return builds.run(key, (_signal, report) => build(key, spec, report), buildOptions);
    },
    async listTemplates() {
      const files = await readdir(templatesDirectory);
      const found = await Promise.all(files.map((file) => load(file.replace(".json", ""))));
      return found.filter((template) => template !== undefined);
    },
    // One is what it was made of, and nothing else.
    listStaleTemplates: async () => [],
    removeTemplate: (key) => rm(templatePath(key), { force: true }),
    async clone(template, cloneOptions) {
      if (await load(template.key)) return start(cloneOptions);
      throw new SandboxesError("NotFound", `the template "${template.key}" is not there`, { hint: "build it again" });
    },
    boot: (_spec, cloneOptions) => start(cloneOptions),
    adopt: async (vmId) => vms.get(vmId) ?? ((await suspended(vmId)) ? undefined : find(vmId)),
    // A process cannot be put on disk: it stands still, and only its record says that it should not be there.
    async suspend(vmId) {
      const vm = vms.get(vmId);
      if (!vm) throw new SandboxesError("NotFound", `the virtual machine "${vmId}" does not run`);
      await vm.pause();
      vms.delete(vmId);
      asleep.set(vmId, vm);
      const saved = { savedAt: new Date().toISOString(), sizeBytes: 0 };
      await writeFile(savedPath(vmId), JSON.stringify(saved));
      return saved;
    },
    suspended,
    async wake(vmId) {
      const sleeping = asleep.get(vmId);
      const vm = sleeping ?? (await find(vmId, { keepPrograms: true }));
      if (!vm) throw new SandboxesError("NotFound", `the virtual machine "${vmId}" is not suspended`);
      await rm(savedPath(vmId), { force: true });
      asleep.delete(vmId);
      vms.set(vmId, vm);
      await vm.resume();
      return vm;
    },
    save: () => Promise.reject(cannotSave()),
    restore: () => Promise.reject(cannotSave()),
    listVms: () => readdir(vmsDirectory),
    async destroy(vmId) {
      const directory = vmDirectory(vmsDirectory, vmId);
      await ((vms.get(vmId) ?? asleep.get(vmId))?.destroy() ?? removeMemoryVm(directory));
      asleep.delete(vmId);
    },
    async close() {
      await builds.close();
      for (const vm of [...vms.values(), ...asleep.values()]) vm.release();
      vms.clear();
      asleep.clear();
    },
  };
}

function cannotSave(): SandboxesError {
  return new SandboxesError("Unsupported", "sandboxes that are processes of this machine cannot be copied");
}

async function isStopped(pid: number): Promise<boolean> {
  const agent = (await agentProcesses(pid))[0];
  const stat = agent === undefined ? "" : await readFile(`/proc/${agent}/stat`, "latin1").catch(() => "");
  return stat.slice(stat.lastIndexOf(")") + 2).startsWith("T");
}
