import { setTimeout as sleep } from "node:timers/promises";
import { embeddedHostStatus, ensureEmbeddedHost, stopEmbeddedHost } from "../../../provider/client/embeddedHost";
import { SandboxApi } from "../../../provider/client/sandboxApi";
import { openProcessorShares } from "../../../provider/host/vm/processorShare";
import { GroupRest } from "./groupRest";
import { type HostProcess, hostProcesses } from "./hostProcesses";
import type { SeededRandom } from "./seededRandom";

const pollMs = 100;

export interface Blow {
  /** The last is a daemon that is asked to end, as by a service manager. */
  victim: "daemon" | "spawner" | "machine" | "asked daemon";
  pid: number;
  machine: string | undefined;
}

/** The daemon of a data directory as users have it: started by whoever needs it, and killed by us. */
export class CrashedHost {
  readonly dataDir: string;
  readonly #mark: string;
  readonly #end = new AbortController();
  /** Machines that we killed: only these may have failed. */
  readonly killedMachines = new Set<string>();
  /** Whether this machine lets it. */
  limitsProcessors = false;
  readonly #complaints: string[] = [];
  #keeping: Promise<void> | undefined;

  constructor(dataDir: string, mark: string) {
    this.dataDir = dataDir;
    this.#mark = mark;
  }

  /** Starts the daemon, now and whenever it is gone. */
  async keepUp(): Promise<void> {
    this.limitsProcessors = (await openProcessorShares(this.dataDir)).missing === undefined;
    await ensureEmbeddedHost({ dataDir: this.dataDir });
    this.#keeping = this.#keep();
  }

  connect(): SandboxApi {
    const endpoint = `unix:${this.dataDir}/host.sock`;
    return new SandboxApi({ endpoint, subscriptionId: "s", resourceGroupName: "local" });
  }

  processes(): HostProcess[] {
    return hostProcesses(this.dataDir, this.#mark);
  }

  status(): ReturnType<typeof embeddedHostStatus> {
    return embeddedHostStatus({ dataDir: this.dataDir });
  }

  /** Daemons that ended without being killed, by what their starter was told. */
  get complaints(): string[] {
    return [...this.#complaints];
  }

  /** Of the group, what the client has no method for. */
  connectRest(group: string): GroupRest {
    return new GroupRest(this.connect().connection, group);
  }

  /** `kill -9` of one process; of another kind where there is none of the drawn one. */
  strike(random: SeededRandom): Blow | undefined {
    const drawn = random.weighted({ daemon: 35, spawner: 20, machine: 35, "asked daemon": 10 });
    const luck = random.next();
    const all = this.processes();
    for (const victim of new Set([drawn, "daemon", "machine"] as const)) {
      const isAsked = victim === "asked daemon";
      const candidates = all.filter(({ kind }) => kind === (isAsked ? "daemon" : victim)).sort((a, b) => a.pid - b.pid);
      const chosen = candidates[Math.floor(luck * candidates.length)];
      if (!chosen) continue;
      // Before it is dead: what is told of it may come at once.
      if (chosen.machine !== undefined) this.killedMachines.add(chosen.machine);
      try {
        process.kill(chosen.pid, isAsked ? "SIGTERM" : "SIGKILL");
      } catch {
        continue; // It ended by itself meanwhile.
      }
      return { victim, pid: chosen.pid, machine: chosen.machine };
    }
    return undefined;
  }

  /** Stops the daemon and all machines. Repeatable. */
  async close(): Promise<void> {
    this.#end.abort();
    await this.#keeping;
    await stopEmbeddedHost({ dataDir: this.dataDir });
  }

  async #keep(): Promise<void> {
    const { signal } = this.#end;
    while (!signal.aborted) {
      await ensureEmbeddedHost({ dataDir: this.dataDir, signal }).catch((error: Error) => {
        // A daemon that we killed while it started says nothing (128: by a signal), nor one that we asked to end.
        if (!signal.aborted && !/it ended with (0|128)\b/.test(error.message)) this.#complaints.push(error.message);
      });
      await sleep(pollMs, undefined, { signal }).catch(() => undefined); // The loop looks at the signal.
    }
  }
}
