import { mkdir, readdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import * as z from "zod";
import { isSandboxesError, SandboxesError } from "../../../client/errors";
import { createSlots } from "../../../slots";
import { connectGuestAgent } from "../channel";
import type { ConnectAgent } from "../connectAgent";
import type { BuildOptions, CloneOptions, SavedVm, SaveOptions, Template, TemplateSpec, Vm, VmDriver } from "../driver";
import { nativeBinary } from "../native";
import { openProcessorShares } from "../processorShare";
import { createSharedWork } from "../sharedWork";
import { isVmId, vmDirectory } from "../vmDirectory";
import { exercise } from "../warmUp";
import { type Accelerator, chooseAccelerator, emulation } from "./accelerator";
import { buildTemplate } from "./buildTemplate";
import { type Environment, prepareEnvironment, qemuStamp, removeUnfinished } from "./environment";
import { bootGuest, cloneGuest, continueGuest, type LaunchContext, type Launched } from "./launch";
import { checkFacts, factsOf, type MachineFacts, readFacts, writeFacts } from "./machineFacts";
import { removeMigrationSocket } from "./migration";
import { findQemuProcess, markReady, type QemuProcess, removeTraces, removeVmDirectory } from "./qemuProcess";
import { QemuVm } from "./qemuVm";
import { reconnectAgent } from "./reconnectAgent";
import {
  bytesOnDisk,
  ownFiles,
  placeOwnFiles,
  readSaved,
  removeSaved,
  removeUnfinishedSave,
  type SavedMachine,
  writeSaved,
} from "./savedMachine";
import { createSpawner } from "./spawner";
import { templateKey } from "./templateKey";
import { createTemplateStore, type StoredTemplate } from "./templateStore";

export interface QemuDriverOptions {
  /** `vms/` and `templates/` are made in it; one driver at a time may use it. */
  dataDirectory: string;
  /** Boots and clones that run at once; default the number of processors. */
  concurrency?: number;
  /** For one attempt to boot; default 45 s. */
  bootLimitMs?: number;
  /** Default: chosen by a test of the machine. */
  accelerator?: Accelerator;
  /** Default: the channel of the guest agent. */
  connectAgent?: ConnectAgent;
}

/** A quiet machine boots in 1-2 s under emulation, a loaded one in 5. */
const defaultBootLimitMs = 45_000;
/** A full machine of some GiB on a slow disk; clients wait for 15 minutes. */
const saveLimitMs = 10 * 60_000;
/** What a VM says that was frozen, or was being saved by a process that ended. */
const stoodStill = new Set(["paused", "postmigrate", "finish-migrate"]);
/** A guest whose clock is told a wrong rate drifts; measurements differ by far less. */
const maxTscDeviation = 0.001;

const vmStatus = z.object({ status: z.string() });

/** Virtual machines under QEMU, hardware accelerated where the machine can, else emulated. */
export async function createQemuDriver(options: QemuDriverOptions): Promise<VmDriver> {
  const dataDirectory = resolve(options.dataDirectory);
  const vmsDirectory = join(dataDirectory, "vms");
  const store = createTemplateStore(join(dataDirectory, "templates"));
  const connectAgent = options.connectAgent ?? connectGuestAgent;
  const spawner = createSpawner(nativeBinary("spawner"));
  const concurrency = options.concurrency ?? availableParallelism();
  const slots = createSlots(concurrency);
  // A boot takes many times as long as a clone, which is not to wait for nothing but boots.
  const buildSlots = createSlots(Math.max(1, concurrency - 1));
  const shares = await openProcessorShares(dataDirectory);
  const builds = createSharedWork<StoredTemplate>();
  const vms = new Map<string, QemuVm>();
  const starting = new Map<string, { giveUp: AbortController; ended: Promise<void> }>();
  let accelerator = options.accelerator ?? (await chooseAccelerator());
  let hasBooted = false;
  let environment: Promise<Environment> | undefined;
  let preparedFor: string | undefined;

  await mkdir(vmsDirectory, { recursive: true, mode: 0o700 });
  await mkdir(join(dataDirectory, "templates"), { recursive: true, mode: 0o700 });
  await store.removeLeftovers();
  await removeUnfinished(dataDirectory);
  await shares.removeLeftovers();

  const context = async (): Promise<LaunchContext> => {
    const stamp = await qemuStamp();
    // Its package was upgraded while the host runs: what runs goes on, what starts is of the new one.
    if (stamp !== preparedFor) environment = undefined;
    preparedFor = stamp;
    environment ??= prepareEnvironment(dataDirectory).catch((error) => {
      // What is missing may be there the next time.
      environment = undefined;
      throw error;
    });
    const bootLimitMs = options.bootLimitMs ?? defaultBootLimitMs;
    return {
      environment: await environment,
      accelerator: accelerator.accelerator,
      spawner,
      connectAgent,
      bootLimitMs,
      onBooted: () => {
        hasBooted = true;
      },
    };
  };

  /** A kernel that has never come up under KVM, whatever the probe said, is emulated from then on if that works. */
  const orEmulated = async <T>(work: (context: LaunchContext) => Promise<T>): Promise<T> => {
    try {
      return await work(await context());
    } catch (error) {
      const failed = isSandboxesError(error, "GuestFailed") || isSandboxesError(error, "Timeout");
      // Once a guest has booted, a later failure is that guest's own, which may not decide how others are isolated.
      if (!failed || accelerator.accelerator !== "kvm" || hasBooted) throw error;
      const hardware = accelerator;
      accelerator = emulation(`the guest does not boot under KVM: ${error.message}`);
      try {
        return await work(await context());
      } catch (second) {
        if (!hasBooted) accelerator = hardware;
        throw second;
      }
    }
  };

  const loadUsable = async (key: string, launchContext: LaunchContext) => {
    const template = await store.load(key);
    return template && fitsTo(template, launchContext) ? template : undefined;
  };

  const directoryOf = (vmId: string): string => vmDirectory(vmsDirectory, vmId);

  const register = (id: string, qemu: QemuProcess, state: { agent?: Launched["agent"]; paused: boolean }): QemuVm => {
    const { agent, paused } = state;
    const vm = new QemuVm(id, qemu, connectAgent, {
      agent,
      paused,
      onDestroyed: async () => {
        vms.delete(id);
        await shares.remove(id);
      },
    });
    vms.set(id, vm);
    return vm;
  };

  /** From here on: to start is the host's own work. */
  const limitProcessor = async (vm: Pick<Vm, "id" | "pid">, { cpuMillis, spec }: MachineFacts): Promise<void> => {
    if (cpuMillis !== undefined && cpuMillis < spec.vcpus * 1000) await shares.limit(vm.id, vm.pid, cpuMillis);
  };

  /** Runs a launch in its turn; a `destroy` of the id meanwhile gives it up. */
  const inTurn = async (
    { vmId, signal }: CloneOptions,
    bringUp: (directory: string, signal: AbortSignal) => Promise<Vm>,
  ): Promise<Vm> => {
    const directory = directoryOf(vmId);
    if (vms.has(vmId) || starting.has(vmId)) throw taken(vmId);
    const giveUp = new AbortController();
    const either = signal ? AbortSignal.any([signal, giveUp.signal]) : giveUp.signal;
    const work = slots.run(() => bringUp(directory, either), either);
    const ended = work.then(
      () => undefined,
      () => undefined,
    );
    starting.set(vmId, { giveUp, ended });
    return work.finally(() => starting.delete(vmId));
  };

  /** A launch in a directory of its own, of which nothing is left when it fails. */
  const start = (
    cloneOptions: CloneOptions,
    launch: (directory: string, signal: AbortSignal) => Promise<Launched>,
    facts: MachineFacts,
    warmUp?: TemplateSpec,
  ): Promise<Vm> => {
    const { vmId, paused } = cloneOptions;
    return inTurn(cloneOptions, async (directory, signal) => {
      await mkdir(directory, { mode: 0o700 }).catch((error) => {
        throw error.code === "EEXIST" ? taken(vmId) : error;
      });
      try {
        const { qemu, agent } = await launch(directory, signal);
        const vm = register(vmId, qemu, { agent, paused: false });
        if (paused && warmUp) {
          await exercise(agent, warmUp);
          await vm.pause();
        }
        await writeFacts(directory, facts);
        await limitProcessor(vm, facts);
        await markReady(qemu);
        signal.throwIfAborted();
        return vm;
      } catch (error) {
        await vms.get(vmId)?.destroy();
        await removeVmDirectory(directory);
        throw error;
      }
    });
  };

  /** Writes a machine, frozen meanwhile, to `target`; `then` ends it or lets it go on, also after a failure. */
  const write = async (
    vmId: string,
    target: string,
    { signal }: SaveOptions,
    copy: boolean,
  ): Promise<{ vm: QemuVm; saved: SavedMachine; wasPaused: boolean }> => {
    const vm = vms.get(vmId);
    if (!vm) throw new SandboxesError("NotFound", `the virtual machine "${vmId}" does not run`);
    const directory = directoryOf(vmId);
    const facts = await readFacts(directory);
    const limit = AbortSignal.timeout(saveLimitMs);
    const either = signal ? AbortSignal.any([limit, signal]) : limit;
    const memoryBytes = facts.spec.memoryMiB * 2 ** 20;
    const wasPaused = vm.paused;
    try {
      await vm.pause();
      const save = (paths: { ramPath: string; statePath: string }) => vm.save(paths, memoryBytes, either);
      return { vm, saved: await writeSaved(target, facts, save, { directory, copy }), wasPaused };
    } catch (error) {
      if (!wasPaused) await vm.resume();
      if (limit.aborted) throw new SandboxesError("Timeout", `it was not saved within ${saveLimitMs} ms`);
      throw error;
    }
  };

  return {
    get capabilities() {
      return accelerator;
    },

    ensureTemplate: (spec, buildOptions: BuildOptions = {}) =>
      orEmulated(async (launchContext) => {
        const key = templateKey(launchContext.environment, launchContext.accelerator, spec);
        const build = async (signal: AbortSignal, report: (message: string) => void): Promise<StoredTemplate> =>
          (await loadUsable(key, launchContext)) ??
          buildSlots.run(
            () => slots.run(() => buildTemplate(launchContext, store, key, spec, { signal, report }), signal),
            signal,
          );
        return (await loadUsable(key, launchContext)) ?? builds.run(key, build, buildOptions);
      }),

    listTemplates: () => store.list(),
    async listStaleTemplates() {
      const launchContext = await context();
      return store.stale((template) => fitsTo(template, launchContext) && hasItsKey(template, launchContext));
    },
    removeTemplate: (key) => store.remove(checkedKey(key)),

    async clone(template: Template, cloneOptions) {
      const launchContext = await context();
      const stored = await loadUsable(checkedKey(template.key), launchContext);
      if (!stored || !hasItsKey(stored, launchContext)) throw noTemplate(template.key);
      void store.touch(stored.key);
      const launch = async (directory: string, signal: AbortSignal): Promise<Launched> => {
        try {
          return await cloneGuest(launchContext, directory, stored, signal);
        } catch (error) {
          if (!isSandboxesError(error, "GuestFailed")) throw error;
        }
        // QEMU may have been killed, by a host short of memory for one. If it ends again it is for the template.
        await removeVmDirectory(directory);
        return cloneGuest(launchContext, directory, stored, signal).catch(async (error) => {
          if (!isSandboxesError(error, "GuestFailed")) throw error;
          // Removed while it was to be copied.
          if (!(await store.load(stored.key))) throw noTemplate(stored.key);
          // Damaged though it has its size: the next `ensureTemplate` makes another.
          await store.remove(stored.key);
          throw error;
        });
      };
      return start(cloneOptions, launch, factsOf(launchContext, stored.spec, cloneOptions), stored.spec);
    },

    boot: (spec, cloneOptions) =>
      orEmulated((launchContext) => {
        const launch = (directory: string, signal: AbortSignal): Promise<Launched> =>
          bootGuest(launchContext, directory, spec, { sharedMemory: false, signal });
        return start(cloneOptions, launch, factsOf(launchContext, spec, cloneOptions), spec);
      }),

    async adopt(vmId) {
      const directory = directoryOf(vmId);
      const known = vms.get(vmId);
      if (known) return known;
      if (await readSaved(savedIn(directory))) return undefined;
      const qemu = await findQemuProcess(directory);
      if (!qemu) return undefined;
      try {
        const { status } = vmStatus.parse(await qemu.qmp.execute("query-status"));
        const paused = stoodStill.has(status);
        if (!paused && status !== "running") {
          throw new SandboxesError("GuestFailed", `its virtual machine is "${status}"`);
        }
        const agent = paused ? undefined : await reconnectAgent(qemu, connectAgent);
        // A wake that was cut off may not have come to it; a machine of an earlier version has no facts.
        const facts = await readFacts(directory).catch(() => undefined);
        if (facts) await limitProcessor({ id: vmId, pid: qemu.identity.pid }, facts);
        await removeUnfinishedSave(savedIn(directory));
        await removeMigrationSocket(directory);
        return register(vmId, qemu, { agent, paused });
      } catch (error) {
        qemu.qmp.close();
        throw error;
      }
    },

    async suspend(vmId, saveOptions = {}) {
      const directory = directoryOf(vmId);
      const { vm, saved } = await write(vmId, savedIn(directory), saveOptions, false);
      // It is suspended from here on, whatever becomes of the process.
      await vm.leave("it was suspended");
      await removeTraces(directory);
      return sizeOf(saved, directory);
    },

    async suspended(vmId) {
      const directory = directoryOf(vmId);
      const saved = vms.has(vmId) ? undefined : await readSaved(savedIn(directory));
      if (!saved) return undefined;
      await removeTraces(directory);
      await removeUnfinishedSave(savedIn(directory));
      return sizeOf(saved, directory);
    },

    async wake(vmId, { signal } = {}) {
      const launchContext = await context();
      return inTurn({ vmId, signal }, async (directory, either) => {
        const savedDirectory = savedIn(directory);
        const saved = await readSaved(savedDirectory);
        if (!saved) throw new SandboxesError("NotFound", `the virtual machine "${vmId}" is not suspended`);
        checkFacts(saved.facts, launchContext);
        // What it changes on its disk does not fit its saved memory any more.
        const hasDisk = (await ownFiles(directory)).length > 0;
        const forget = () => removeSaved(savedDirectory);
        const beforeRun = async (qemu: QemuProcess) => {
          // From here on the process can be adopted: once nothing is saved any more, it is the machine.
          await markReady(qemu);
          if (hasDisk) await forget();
        };
        try {
          const { qemu, agent } = await continueGuest(launchContext, directory, saved, { beforeRun, signal: either });
          const vm = register(vmId, qemu, { agent, paused: false });
          await limitProcessor(vm, saved.facts);
          either.throwIfAborted();
          if (!hasDisk) await forget();
          return vm;
        } catch (error) {
          await vms.get(vmId)?.leave("it could not go on");
          await removeTraces(directory);
          throw error;
        }
      });
    },

    async save(vmId, directory, saveOptions = {}) {
      const { vm, saved, wasPaused } = await write(vmId, directory, saveOptions, true);
      if (!wasPaused) await vm.resume();
      return { savedAt: saved.savedAt, sizeBytes: saved.sizeBytes };
    },

    async restore(from, cloneOptions) {
      const launchContext = await context();
      const saved = await readSaved(from);
      if (!saved) throw new SandboxesError("NotFound", `there is no saved machine in "${from}"`);
      checkFacts(saved.facts, launchContext);
      const launch = async (directory: string, signal: AbortSignal): Promise<Launched> => {
        await placeOwnFiles(saved, directory);
        return continueGuest(launchContext, directory, saved, { signal });
      };
      return start(cloneOptions, launch, { ...saved.facts, cpuMillis: cloneOptions.cpuMillis });
    },

    listVms: async () => (await readdir(vmsDirectory)).filter(isVmId),

    async destroy(vmId) {
      const directory = directoryOf(vmId);
      const launching = starting.get(vmId);
      launching?.giveUp.abort(new SandboxesError("Conflict", `the virtual machine "${vmId}" was destroyed`));
      await launching?.ended;
      await (vms.get(vmId)?.destroy() ?? removeVmDirectory(directory));
      await shares.remove(vmId);
    },

    async close() {
      for (const launching of starting.values()) launching.giveUp.abort(new Error("the host is closing"));
      await Promise.all([...starting.values()].map((launching) => launching.ended));
      await builds.close();
      for (const vm of vms.values()) vm.release();
      vms.clear();
      await spawner.close();
    },
  };
}

/** Where a VM that was suspended is. */
function savedIn(directory: string): string {
  return join(directory, "saved");
}

/** With the files of its own, which stay where they are. */
async function sizeOf(saved: SavedMachine, directory: string): Promise<SavedVm> {
  const sizeBytes = saved.sizeBytes + (await bytesOnDisk(await ownFiles(directory)));
  return { savedAt: saved.savedAt, sizeBytes };
}

function checkedKey(key: string): string {
  if (/^[0-9a-f]{1,64}$/.test(key)) return key;
  throw new SandboxesError("Invalid", `"${key}" is no key of a template`);
}

function fitsTo({ tscKhz }: StoredTemplate, { environment }: LaunchContext): boolean {
  return Math.abs(tscKhz / environment.tscKhz - 1) < maxTscDeviation;
}

function hasItsKey({ key, spec }: StoredTemplate, { environment, accelerator }: LaunchContext): boolean {
  return key === templateKey(environment, accelerator, spec);
}

function noTemplate(key: string): SandboxesError {
  return new SandboxesError("NotFound", `the template "${key}" is not there or was made elsewhere`, {
    hint: "build it again",
  });
}

function taken(vmId: string): SandboxesError {
  return new SandboxesError("Conflict", `the virtual machine "${vmId}" exists already`);
}
