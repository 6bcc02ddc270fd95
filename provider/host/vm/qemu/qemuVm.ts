import { setTimeout as delay } from "node:timers/promises";
import { SandboxesError } from "../../../client/errors";
import type { ConnectAgent } from "../connectAgent";
import type { Vm, VmExit } from "../driver";
import type { GuestAgent } from "../guestAgent";
import { isAlive, killAndWait } from "../processes";
import { unconnectedAgent } from "../unconnectedAgent";
import { saveMachine } from "./migration";
import { lastWords, type QemuProcess, removeVmDirectory } from "./qemuProcess";
import type { QmpEvent } from "./qmp";
import { reconnectAgent } from "./reconnectAgent";

/** After its channel closed QEMU only has to leave. */
const exitGraceMs = 3_000;
/** QEMU that ends closes the guest's connection first, a moment before its own. */
const closeGraceMs = 1_000;

/** A VM under QEMU. Made over a process whose guest is known to have answered. */
export class QemuVm implements Vm {
  readonly id: string;
  readonly exited: Promise<VmExit>;
  readonly #qemu: QemuProcess;
  readonly #connectAgent: ConnectAgent;
  readonly #onDestroyed: () => Promise<void>;
  #agent: GuestAgent | undefined;
  #paused: boolean;
  /** Why QEMU is about to end or was ended, as far as we know. */
  #reason: string | undefined;
  #transition: Promise<void> = Promise.resolve();
  #destroyed: Promise<void> | undefined;

  constructor(
    id: string,
    qemu: QemuProcess,
    connectAgent: ConnectAgent,
    state: { agent: GuestAgent | undefined; paused: boolean; onDestroyed(): Promise<void> },
  ) {
    this.id = id;
    this.#qemu = qemu;
    this.#connectAgent = connectAgent;
    this.#paused = state.paused;
    this.#onDestroyed = state.onDestroyed;
    qemu.qmp.onEvent((event) => this.#onEvent(event));
    this.exited = this.#watch();
    if (state.agent) this.#connected(state.agent);
  }

  get pid(): number {
    return this.#qemu.identity.pid;
  }

  get paused(): boolean {
    return this.#paused;
  }

  /** After the adoption of a paused VM another object from the first `resume` on. */
  get agent(): GuestAgent {
    return this.#agent ?? unconnectedAgent;
  }

  pause(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#paused) return;
      // Before it is: the event of it is not an accident then.
      this.#paused = true;
      await this.#qemu.qmp.execute("stop").catch((error) => {
        this.#paused = false;
        throw error;
      });
    });
  }

  resume(): Promise<void> {
    return this.#inTurn(async () => {
      if (this.#paused) await this.#qemu.qmp.execute("cont");
      this.#paused = false;
      if (this.#agent) return;
      this.#connected(await reconnectAgent(this.#qemu, this.#connectAgent));
    });
  }

  /** Writes what the frozen machine is; it stays frozen. */
  save(paths: { ramPath: string; statePath: string }, memoryBytes: number, signal: AbortSignal): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#paused) throw new SandboxesError("Internal", "a machine that runs cannot be saved");
      await saveMachine(this.#qemu, paths, memoryBytes, signal);
    });
  }

  /** Ends the process and leaves its directory. */
  async leave(reason: string): Promise<void> {
    this.#reason ??= reason;
    await killAndWait(this.#qemu.identity);
    this.#agent?.close();
    this.#qemu.qmp.close();
    await this.#onDestroyed();
  }

  destroy(): Promise<void> {
    this.#destroyed ??= this.#destroy().catch((error) => {
      // To be tried again: a process or a directory is left.
      this.#destroyed = undefined;
      throw error;
    });
    return this.#destroyed;
  }

  /** Drops our ends of the sockets; the VM goes on, and `exited` stays open unless it has ended. */
  release(): void {
    this.#reason = released;
    this.#agent?.close();
    this.#qemu.qmp.close();
  }

  async #destroy(): Promise<void> {
    this.#reason = "destroyed";
    await killAndWait(this.#qemu.identity);
    this.#agent?.close();
    this.#qemu.qmp.close();
    await removeVmDirectory(this.#qemu.directory);
    await this.#onDestroyed();
  }

  #connected(agent: GuestAgent): void {
    this.#agent = agent;
    void agent.closed.then(({ message }) => this.#unreachable(message));
  }

  /** A guest that nobody can talk to any more is of no use. If QEMU ends by itself, that tells why. */
  async #unreachable(reason: string): Promise<void> {
    const isGone = this.#qemu.qmp.closed.then(() => true);
    const isAlone = !(await Promise.race([isGone, delay(closeGraceMs, false, { ref: false })]));
    if (isAlone && this.#reason === undefined) this.#end(reason);
  }

  #inTurn(step: () => Promise<void>): Promise<void> {
    const next = this.#transition.then(step);
    this.#transition = next.catch(() => undefined);
    return next;
  }

  #onEvent({ event, data }: QmpEvent): void {
    if (event === "SHUTDOWN") {
      const isReset = data.reason === "guest-reset" || data.reason === "guest-panic";
      this.#reason ??= isReset ? "the guest's kernel restarted or panicked" : `the guest shut down (${data.reason})`;
    }
    // Only the agent has it open; the connection itself would stay, in silence.
    if (event === "VSERPORT_CHANGE" && data.open === false) void this.#unreachable("the guest closed the agent's port");
    if (event === "GUEST_PANICKED") this.#end("the guest's kernel panicked");
    // Nobody asked for it: QEMU met an error that it cannot go on from.
    if (event === "STOP" && !this.#paused) this.#end("the virtual CPU stopped");
  }

  #end(reason: string): void {
    this.#reason ??= reason;
    void killAndWait(this.#qemu.identity).catch(() => {
      // `destroy` meets the same process again and tells.
    });
  }

  async #watch(): Promise<VmExit> {
    const { qmp, ended, identity, directory } = this.#qemu;
    const givenUp = await qmp.closed;
    if (this.#reason === released) return new Promise(() => {});
    const how = await Promise.race([ended, this.#gone()]);
    this.#agent?.close();
    if (this.#destroyed) return { reason: this.#reason ?? "destroyed" };
    const known = this.#reason ?? givenUp ?? `QEMU (process ${identity.pid}) ended`;
    return { reason: [known, how, await lastWords(directory)].filter(Boolean).join(": ") };
  }

  /** For a process whose end nobody reports; one that has closed its channel is not let live. */
  async #gone(): Promise<string> {
    const deadline = Date.now() + exitGraceMs;
    while ((await isAlive(this.#qemu.identity)) && Date.now() < deadline) await delay(10);
    await killAndWait(this.#qemu.identity).catch(() => undefined);
    return "";
  }
}

const released = "released";
