import { setTimeout as sleep } from "node:timers/promises";
import { Caller, type CallerParts } from "./caller";
import { commit, image, restore, snapshot } from "./copyActions";
import { removeVolume, secret, volumeFile } from "./groupActions";
import type { KnownSandbox } from "./ledger";
import { change, create, exec, file, patch, read, remove } from "./sandboxActions";

const maxSandboxes = 6;

export const groupName = "crashes";

/** One caller of the host, who does one thing after the other. */
export class Worker {
  readonly #parts: CallerParts;
  readonly #caller: Caller;

  constructor(parts: CallerParts) {
    this.#parts = parts;
    this.#caller = new Caller(parts);
  }

  /** Works until `signal` fires, and ends what it does then. */
  async run(signal: AbortSignal): Promise<void> {
    while (!signal.aborted) {
      await this.#step();
      await sleep(this.#parts.random.between(0, 60));
    }
  }

  async #step(): Promise<void> {
    const { random, ledger } = this.#parts;
    const isFull = ledger.living().length >= maxSandboxes;
    const weights = {
      ...{ create: isFull ? 0 : 30, restore: isFull ? 0 : 8, remove: isFull ? 40 : 8 },
      ...{ exec: 25, file: 10, stop: 10, resume: 14, patch: 6, read: 5 },
      ...{ volumeFile: 25, removeVolume: 3, secret: 8, snapshot: 8, commit: 3, image: 5 },
    };
    const what = random.weighted(weights);
    const caller = this.#caller;
    if (what === "create") return create(caller);
    if (what === "restore") return void (await restore(caller));
    if (what === "image") return image(caller);
    if (what === "secret") return secret(caller);
    if (what === "removeVolume") return removeVolume(caller);
    const fits = (sandbox: KnownSandbox) => what !== "volumeFile" || sandbox.traits.isSharing || sandbox.traits.disk;
    const sandbox = random.pick(ledger.idle().filter(fits));
    if (!sandbox) return;
    if (what === "stop" || what === "resume") return change(caller, what, sandbox);
    return { exec, file, patch, read, remove, volumeFile, snapshot, commit }[what](caller, sandbox);
  }
}
