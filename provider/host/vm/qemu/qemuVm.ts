import { setTimeout as delay } from "node:timers/promises";
import type { ConnectAgent } from "../connectAgent";
import type { Vm, VmExit } from "../driver";
import type { GuestAgent } from "../guestAgent";
import { isAlive, killAndWait } from "../processes";
import { unconnectedAgent } from "../unconnectedAgent";
import { lastWords, type QemuProcess, removeVmDirectory } from "./qemuProcess";
import type { QmpEvent } from "./qmp";

/** For a guest that ran before: it only has to be scheduled. */
const resumedHelloMs = 20_000;
/** After its channel closed QEMU only has to leave. */
const exitGraceMs = 3_000;

/** A VM under QEMU. Made over a process whose guest is known to have answered. */
export class QemuVm implements Vm {
  readonly id: string;
  readonly exited: Promise<VmExit>;
  readonly #qemu: QemuProcess;
  readonly #connectAgent: ConnectAgent;
  readonly #onDestroyed: () => void;
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
    state: { agent: GuestAgent | undefined; paused: boolean; onDestroyed(): void },
  ) {
    this.id = id;
    this.#qemu = qemu;
    this.#connectAgent = connectAgent;
    this.#agent = state.agent;
    this.#paused = state.paused;
    this.#onDestroyed = state.onDestroyed;
    qemu.qmp.onEvent((event) => this.#onEvent(event));
    this.exited = this.#watch();
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
      this.#paused = true;
      await this.#qemu.qmp.execute("stop");
    });
  }

  resume(): Promise<void> {
    return this.#inTurn(async () => {
      if (!this.#paused) return;
      await this.#qemu.qmp.execute("cont");
      this.#paused = false;
      this.#agent ??= await this.#connectAgent(await this.#qemu.connectAgentSocket(), {
        helloTimeoutMs: resumedHelloMs,
      });
    });
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
    this.#onDestroyed();
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
    await qmp.closed;
    if (this.#reason === released) return new Promise(() => {});
    const how = await Promise.race([ended, this.#gone()]);
    this.#agent?.close();
    if (this.#destroyed) return { reason: this.#reason ?? "destroyed" };
    const known = this.#reason ?? `QEMU (process ${identity.pid}) ended`;
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
