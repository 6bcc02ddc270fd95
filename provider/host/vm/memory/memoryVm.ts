import { setTimeout as delay } from "node:timers/promises";
import type { ConnectAgent } from "../connectAgent";
import type { Vm, VmExit } from "../driver";
import type { GuestAgent } from "../guestAgent";
import { isAlive, killAndWait, type ProcessIdentity } from "../processes";
import { unconnectedAgent } from "../unconnectedAgent";
import { agentProcesses, connectAgentProcess } from "./container";
import { removeMemoryVm } from "./removeMemoryVm";

/** A process answers at once; this is for a machine under heavy load. */
export const helloTimeoutMs = 20_000;
const watchMs = 100;
/** A process that ends closes its connection a moment before it is seen to have ended. */
const closeGraceMs = 1_000;

/** What stands in for a VM: the agent and its programs as processes of this machine. */
export class MemoryVm implements Vm {
  readonly id: string;
  readonly exited: Promise<VmExit>;
  readonly #directory: string;
  readonly #identity: ProcessIdentity;
  readonly #connectAgent: ConnectAgent;
  readonly #onDestroyed: () => void;
  #agent: GuestAgent | undefined;
  #paused: boolean;
  #released = false;
  /** Why it was ended, unless it was asked for. */
  #reason: string | undefined;
  #destroyed: Promise<void> | undefined;

  constructor(
    id: string,
    directory: string,
    identity: ProcessIdentity,
    connectAgent: ConnectAgent,
    state: { agent: GuestAgent | undefined; paused: boolean; onDestroyed(): void },
  ) {
    this.id = id;
    this.#directory = directory;
    this.#identity = identity;
    this.#connectAgent = connectAgent;
    this.#paused = state.paused;
    this.#onDestroyed = state.onDestroyed;
    this.exited = this.#watch();
    if (state.agent) this.#connected(state.agent);
  }

  get pid(): number {
    return this.#identity.pid;
  }

  get paused(): boolean {
    return this.#paused;
  }

  get agent(): GuestAgent {
    return this.#agent ?? unconnectedAgent;
  }

  async pause(): Promise<void> {
    if (this.#paused) return;
    this.#paused = true;
    await this.#signalTree("SIGSTOP");
  }

  async resume(): Promise<void> {
    if (!this.#paused) return;
    await this.#signalTree("SIGCONT");
    this.#paused = false;
    if (this.#agent) return;
    this.#connected(await this.#connectAgent(await connectAgentProcess(this.#directory), { helloTimeoutMs }));
  }

  destroy(): Promise<void> {
    this.#destroyed ??= this.#destroy();
    return this.#destroyed;
  }

  release(): void {
    this.#released = true;
    this.#agent?.close();
  }

  /** One that nobody can talk to any more is of no use: its agent broke the protocol, or serves somebody else. */
  #connected(agent: GuestAgent): void {
    this.#agent = agent;
    void agent.closed.then(async ({ message }) => {
      const isGone = this.exited.then(() => true);
      const isAlone = !(await Promise.race([isGone, delay(closeGraceMs, false, { ref: false })]));
      if (!isAlone || this.#released || this.#destroyed) return;
      this.#reason = message;
      await this.#signalTree("SIGKILL");
    });
  }

  async #destroy(): Promise<void> {
    // Where there are no namespaces to end with it, what the agent runs would outlive it.
    await this.#signalTree("SIGKILL");
    await killAndWait(this.#identity);
    this.#agent?.close();
    await removeMemoryVm(this.#directory);
    this.#onDestroyed();
  }

  async #signalTree(signal: NodeJS.Signals): Promise<void> {
    for (const pid of await agentProcesses(this.#identity.pid)) {
      try {
        process.kill(pid, signal);
      } catch {
        // It ended in the meantime.
      }
    }
  }

  async #watch(): Promise<VmExit> {
    while (!this.#released && (await isAlive(this.#identity))) await delay(watchMs, undefined, { ref: false });
    if (this.#released) return new Promise(() => {});
    this.#agent?.close();
    return { reason: this.#destroyed ? "destroyed" : (this.#reason ?? `the agent (process ${this.pid}) ended`) };
  }
}
