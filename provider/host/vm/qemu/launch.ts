import { mkdir, open, stat } from "node:fs/promises";
import { join, resolve } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { SandboxesError } from "../../../client/errors";
import type { ConnectAgent } from "../connectAgent";
import type { TemplateSpec } from "../driver";
import type { GuestAgent } from "../guestAgent";
import { killAndWait } from "../processes";
import type { Accelerator } from "./accelerator";
import type { Environment } from "./environment";
import { findLayer, formatLayer, overlayLayer } from "./layerDisk";
import { qemuArguments } from "./machine";
import { loadState } from "./migration";
import { lastWords, type QemuProcess, removeVmDirectory, startQemu } from "./qemuProcess";
import type { SavedMachine } from "./savedMachine";
import type { Spawner, SpawnRequest } from "./spawner";
import type { StoredTemplate } from "./templateStore";

/** What a launch needs besides what is launched. */
export interface LaunchContext {
  environment: Environment;
  accelerator: Accelerator["accelerator"];
  spawner: Spawner;
  connectAgent: ConnectAgent;
  /** For one attempt to boot. */
  bootLimitMs: number;
  /** Told of each guest that has come up. */
  onBooted(): void;
}

export interface Launched {
  qemu: QemuProcess;
  agent: GuestAgent;
}

/** A clone is up within a second; this is for a machine under heavy load. */
const cloneLimitMs = 30_000;
/** One that goes on has its memory on disk, and cannot always be tried again. */
const continueLimitMs = 120_000;
/** QEMU closes its sockets one after the other. */
const deathGraceMs = 500;

/**
 * Boots in `directory` (made here, removed by the caller, emptied on failure). A guest that says nothing within the
 * limit is tried once more: early timer calibration can hang.
 */
export async function bootGuest(
  context: LaunchContext,
  directory: string,
  spec: TemplateSpec,
  options: { sharedMemory: boolean; signal?: AbortSignal },
): Promise<Launched> {
  const { sharedMemory, signal } = options;
  await checkSpec(spec);
  const attempt = async (): Promise<Launched> => {
    await mkdir(directory, { recursive: true, mode: 0o700 });
    const path = join(directory, "ram");
    if (sharedMemory) await makeSparse(path, spec.memoryMiB * 1024 * 1024);
    const memory = sharedMemory ? ({ kind: "shared", path } as const) : ({ kind: "own" } as const);
    const layer = await formatLayer(directory, spec, signal);
    const argv = qemuArguments(context.environment, context.accelerator, spec, memory, layer);
    const request = { directory, argv, fileSizeLimit: fileSizeLimit(spec) };
    const launched = await launch(context, request, context.bootLimitMs, signal, async () => {});
    context.onBooted();
    return launched;
  };
  try {
    return await attempt();
  } catch {
    // Told below if it happens again.
    signal?.throwIfAborted();
    await removeVmDirectory(directory);
    return await attempt();
  }
}

/** Starts a running copy of the template in `directory`, under the same rules. */
export async function cloneGuest(
  context: LaunchContext,
  directory: string,
  template: StoredTemplate,
  signal?: AbortSignal,
): Promise<Launched> {
  const { spec, ramPath, statePath } = template;
  await mkdir(directory, { recursive: true, mode: 0o700 });
  await overlayLayer(directory, template.diskPath, spec);
  const request = await copyOf(context, directory, spec, { ramPath, statePath });
  return launch(context, request, cloneLimitMs, signal, async (qemu) => {
    await loadState(qemu);
    await qemu.qmp.execute("cont");
  });
}

/** Lets a saved machine go on in `directory`, where its own files are; `beforeRun` is the last before it changes them. */
export async function continueGuest(
  context: LaunchContext,
  directory: string,
  saved: SavedMachine,
  options: { beforeRun?(qemu: QemuProcess): Promise<void>; signal?: AbortSignal },
): Promise<Launched> {
  const { accelerator, spec } = saved.facts;
  const there = { ...context, accelerator, connectAgent: keepingPrograms(context.connectAgent) };
  const request = await copyOf(there, directory, spec, saved);
  return launch(there, request, continueLimitMs, options.signal, async (qemu) => {
    await loadState(qemu);
    await options.beforeRun?.(qemu);
    await qemu.qmp.execute("cont");
  });
}

async function copyOf(
  { environment, accelerator }: LaunchContext,
  directory: string,
  spec: TemplateSpec,
  { ramPath, statePath }: { ramPath: string; statePath: string },
): Promise<SpawnRequest> {
  const memory = { kind: "copyOnWrite", path: ramPath } as const;
  const argv = qemuArguments(environment, accelerator, spec, memory, await findLayer(directory, spec));
  return { directory, argv, files: [statePath], fileSizeLimit: fileSizeLimit(spec) };
}

/** Nothing that QEMU writes may exceed what the guest may write, whatever format it is in. */
function fileSizeLimit({ diskMiB }: TemplateSpec): number {
  return diskMiB * 1024 * 1024;
}

function keepingPrograms(connectAgent: ConnectAgent): ConnectAgent {
  return (socket, options) => connectAgent(socket, { ...options, keepPrograms: true });
}

async function launch(
  context: LaunchContext,
  request: SpawnRequest,
  limitMs: number,
  signal: AbortSignal | undefined,
  bringUp: (qemu: QemuProcess) => Promise<void>,
): Promise<Launched> {
  const limit = AbortSignal.timeout(limitMs);
  const either = signal ? AbortSignal.any([limit, signal]) : limit;
  const qemu = await startQemu(context.spawner, request, either);
  // Whatever is waited for below ends when QEMU does.
  const kill = (): void => void killAndWait(qemu.identity).catch(() => undefined);
  either.addEventListener("abort", kill, { once: true });
  const death = deathOf(qemu);
  // Met below, unless the guest is up first.
  death.catch(() => undefined);
  try {
    // Before the state is loaded: the guest then finds its host connected, as it left it.
    const socket = await qemu.connectAgentSocket(either);
    const running = bringUp(qemu);
    const agent = running.then(() => context.connectAgent(socket, { signal: either, helloTimeoutMs: limitMs }));
    return { qemu, agent: await Promise.race([agent.catch((error) => explain(error, death)), death]) };
  } catch (error) {
    await killAndWait(qemu.identity);
    signal?.throwIfAborted();
    if (limit.aborted) throw new SandboxesError("Timeout", `the guest did not answer within ${limitMs} ms`);
    throw error;
  } finally {
    either.removeEventListener("abort", kill);
  }
}

/** The channel breaks a moment before QEMU is known to have ended, which is then the better reason. */
async function explain(error: unknown, death: Promise<never>): Promise<never> {
  await Promise.race([death, delay(deathGraceMs)]);
  throw error;
}

/** Rejects once QEMU has ended. */
async function deathOf({ qmp, directory }: QemuProcess): Promise<never> {
  let how = "QEMU ended";
  qmp.onEvent(({ event }) => {
    if (event === "SHUTDOWN") how = "the guest gave up while it started; is its image a squashfs?";
  });
  await qmp.closed;
  throw new SandboxesError("GuestFailed", [how, await lastWords(directory)].filter(Boolean).join(": "));
}

async function makeSparse(path: string, size: number): Promise<void> {
  const handle = await open(path, "wx", 0o600);
  try {
    await handle.truncate(size);
  } finally {
    await handle.close();
  }
}

async function checkSpec(spec: TemplateSpec): Promise<void> {
  for (const field of ["vcpus", "memoryMiB", "diskMiB"] as const) {
    if (Number.isInteger(spec[field]) && spec[field] > 0) continue;
    throw new SandboxesError("Invalid", `"${field}" is ${spec[field]}: not a positive integer`, { field });
  }
  const isFile = await stat(resolve(spec.rootfsPath)).then(
    (entry) => entry.isFile(),
    () => false,
  );
  if (!isFile) throw new SandboxesError("ImageNotFound", `there is no image file "${spec.rootfsPath}"`);
}
