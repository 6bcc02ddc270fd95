import { mkdir, readdir } from "node:fs/promises";
import { availableParallelism } from "node:os";
import { join, resolve } from "node:path";
import * as z from "zod";
import { isSandboxesError, SandboxesError } from "../../../client/errors";
import { connectGuestAgent } from "../channel";
import type { ConnectAgent } from "../connectAgent";
import type { BuildOptions, CloneOptions, Template, TemplateSpec, Vm, VmDriver } from "../driver";
import { nativeBinary } from "../native";
import { createSharedWork } from "../sharedWork";
import { createSlots } from "../slots";
import { isVmId, vmDirectory } from "../vmDirectory";
import { exercise } from "../warmUp";
import { type Accelerator, chooseAccelerator, emulation } from "./accelerator";
import { buildTemplate } from "./buildTemplate";
import { type Environment, prepareEnvironment, removeUnfinished } from "./environment";
import { bootGuest, cloneGuest, type LaunchContext, type Launched } from "./launch";
import { findQemuProcess, markReady, type QemuProcess, removeVmDirectory } from "./qemuProcess";
import { QemuVm } from "./qemuVm";
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
/** A running guest that was left by another host process. */
const adoptHelloMs = 20_000;
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
  const builds = createSharedWork<StoredTemplate>();
  const vms = new Map<string, QemuVm>();
  const starting = new Map<string, { giveUp: AbortController; ended: Promise<void> }>();
  let accelerator = options.accelerator ?? (await chooseAccelerator());
  let hasBooted = false;
  let environment: Promise<Environment> | undefined;

  await mkdir(vmsDirectory, { recursive: true, mode: 0o700 });
  await mkdir(join(dataDirectory, "templates"), { recursive: true, mode: 0o700 });
  await store.removeLeftovers();
  await removeUnfinished(dataDirectory);

  const context = async (): Promise<LaunchContext> => {
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

  const loadUsable = async (key: string, { environment: { tscKhz } }: LaunchContext) => {
    const template = await store.load(key);
    const fits = template && Math.abs(template.tscKhz / tscKhz - 1) < maxTscDeviation;
    return fits ? template : undefined;
  };

  const directoryOf = (vmId: string): string => vmDirectory(vmsDirectory, vmId);

  const register = (id: string, qemu: QemuProcess, state: { agent?: Launched["agent"]; paused: boolean }): QemuVm => {
    const { agent, paused } = state;
    const vm = new QemuVm(id, qemu, connectAgent, { agent, paused, onDestroyed: () => vms.delete(id) });
    vms.set(id, vm);
    return vm;
  };

  /** Runs a launch in its turn; a `destroy` of the id meanwhile gives it up, and a failed one leaves no directory. */
  const start = async (
    { vmId, paused, signal }: CloneOptions,
    launch: (directory: string, signal: AbortSignal) => Promise<Launched>,
    spec: TemplateSpec,
  ): Promise<Vm> => {
    const directory = directoryOf(vmId);
    if (vms.has(vmId) || starting.has(vmId)) throw taken(vmId);
    const giveUp = new AbortController();
    const either = signal ? AbortSignal.any([signal, giveUp.signal]) : giveUp.signal;
    const work = slots.run(async () => {
      await mkdir(directory, { mode: 0o700 }).catch((error) => {
        throw error.code === "EEXIST" ? taken(vmId) : error;
      });
      try {
        const { qemu, agent } = await launch(directory, either);
        const vm = register(vmId, qemu, { agent, paused: false });
        if (paused) {
          await exercise(agent, spec);
          await vm.pause();
        }
        await markReady(qemu);
        either.throwIfAborted();
        return vm;
      } catch (error) {
        await vms.get(vmId)?.destroy();
        await removeVmDirectory(directory);
        throw error;
      }
    }, either);
    const ended = work.then(
      () => undefined,
      () => undefined,
    );
    starting.set(vmId, { giveUp, ended });
    return work.finally(() => starting.delete(vmId));
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
    removeTemplate: (key) => store.remove(checkedKey(key)),

    async clone(template: Template, cloneOptions) {
      const launchContext = await context();
      const stored = await loadUsable(checkedKey(template.key), launchContext);
      const key = stored && templateKey(launchContext.environment, launchContext.accelerator, stored.spec);
      if (!stored || key !== stored.key) {
        throw new SandboxesError("NotFound", `the template "${template.key}" is not there or was made elsewhere`, {
          hint: "build it again",
        });
      }
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
          // Damaged though it has its size: the next `ensureTemplate` makes another.
          if (isSandboxesError(error, "GuestFailed")) await store.remove(stored.key);
          throw error;
        });
      };
      return start(cloneOptions, launch, stored.spec);
    },

    boot: (spec, cloneOptions) =>
      orEmulated((launchContext) => {
        const launch = (directory: string, signal: AbortSignal): Promise<Launched> =>
          bootGuest(launchContext, directory, spec, { sharedMemory: false, signal });
        return start(cloneOptions, launch, spec);
      }),

    async adopt(vmId) {
      const directory = directoryOf(vmId);
      const known = vms.get(vmId);
      if (known) return known;
      const qemu = await findQemuProcess(directory);
      if (!qemu) return undefined;
      try {
        const { status } = vmStatus.parse(await qemu.qmp.execute("query-status"));
        if (status === "paused") return register(vmId, qemu, { paused: true });
        if (status !== "running") throw new SandboxesError("GuestFailed", `its virtual machine is "${status}"`);
        const agent = await connectAgent(await qemu.connectAgentSocket(), { helloTimeoutMs: adoptHelloMs });
        return register(vmId, qemu, { agent, paused: false });
      } catch (error) {
        qemu.qmp.close();
        throw error;
      }
    },

    listVms: async () => (await readdir(vmsDirectory)).filter(isVmId),

    async destroy(vmId) {
      const directory = directoryOf(vmId);
      const launching = starting.get(vmId);
      launching?.giveUp.abort(new SandboxesError("Conflict", `the virtual machine "${vmId}" was destroyed`));
      await launching?.ended;
      await (vms.get(vmId)?.destroy() ?? removeVmDirectory(directory));
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

function checkedKey(key: string): string {
  if (/^[0-9a-f]{1,64}$/.test(key)) return key;
  throw new SandboxesError("Invalid", `"${key}" is no key of a template`);
}

function taken(vmId: string): SandboxesError {
  return new SandboxesError("Conflict", `the virtual machine "${vmId}" exists already`);
}
