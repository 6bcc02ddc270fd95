import { buffer } from "node:stream/consumers";
import { setTimeout as sleep } from "node:timers/promises";
import { isSandboxesError, SandboxesError } from "../../../provider/client/errors";
import type { GroupApi, SandboxApi } from "../../../provider/client/sandboxApi";
import type { KnownSandbox, Ledger } from "./ledger";
import type { SeededRandom } from "./seededRandom";

/** Far above all limits of the host: what takes longer hangs. */
const hangsAfterMs = 90_000;
const maxSandboxes = 6;
/** Memory is what a machine has little of under test. */
const memory = "128Mi";

export const groupName = "crashes";
export const keyLabel = "crash-key";

/** What may be answered while processes are killed; anything else is a finding. */
const expected = new Set(["HostUnavailable", "GuestFailed", "NotRunning", "InvalidState", "Conflict"]);

export interface WorkloadParts {
  api: SandboxApi;
  ledger: Ledger;
  random: SeededRandom;
  /** What sandboxes are made from. */
  baseImage: string;
  /** Makes another archive for an import; `isBroken`: one that is none. */
  makeArchive(name: string, isBroken: boolean): Promise<string>;
}

/** One caller of the host, who does one thing after the other and notes what was acknowledged. */
export class Worker {
  readonly #parts: WorkloadParts;
  readonly #name: string;
  readonly #group: GroupApi;
  #count = 0;

  constructor(name: string, parts: WorkloadParts) {
    this.#name = name;
    this.#parts = parts;
    this.#group = parts.api.group(groupName);
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
    const create = isFull ? 0 : 30;
    const remove = isFull ? 40 : 8;
    const weights = { create, remove, exec: 35, file: 10, stop: 10, resume: 14, patch: 6, image: 6, read: 5 };
    switch (random.weighted(weights)) {
      case "create":
        return this.#create();
      case "exec":
        return this.#exec(random.pick(ledger.idle()));
      case "file":
        return this.#file(random.pick(ledger.idle()));
      case "stop":
        return this.#change("stop", random.pick(ledger.idle()));
      case "resume":
        return this.#change("resume", random.pick(ledger.idle()));
      case "patch":
        return this.#patch(random.pick(ledger.idle()));
      case "remove":
        return this.#remove(random.pick(ledger.idle()));
      case "image":
        return this.#image();
      case "read":
        return this.#read(random.pick(ledger.living()));
    }
  }

  async #create(): Promise<void> {
    const { ledger, random, baseImage } = this.#parts;
    const key = this.#nextName();
    const labels = { [keyLabel]: key };
    // Now and then a size of its own, which takes a template of its own.
    const disk = random.next() < 0.12 ? `${random.between(65, 4000)}Mi` : "64Mi";
    ledger.sentKeys.add(key);
    const resources = { cpu: "1000m", memory, disk };
    const sourcesRef = { diskImage: { id: baseImage } };
    const made = await this.#call("create", (signal) =>
      this.#group.sandboxes.create({ sourcesRef, labels, resources }, { signal }),
    );
    if (!made.value) return;
    const sandbox = ledger.add(made.value.id, key, "Running", labels);
    sandbox.busy = true;
    const token = `token of ${key}`;
    const command = `echo '${token}' > /tmp/token; sync`;
    const written = await this.#call("exec", (signal) =>
      this.#group.sandboxes.execShell(sandbox.id, { command, timeoutMs: 20_000 }, { signal }),
    );
    if (written.value?.exitCode === 0) sandbox.token = token;
    sandbox.busy = false;
  }

  async #exec(sandbox: KnownSandbox | undefined): Promise<void> {
    if (!sandbox) return;
    const [a, b] = [this.#parts.random.between(1, 999), this.#parts.random.between(1, 999)];
    const seconds = this.#parts.random.pick([0, 0, 0.2, 0.6]);
    const command = `sleep ${seconds}; echo $((${a} * ${b}))`;
    const result = await this.#call("exec", (signal) =>
      this.#group.sandboxes.execShell(sandbox.id, { command, timeoutMs: 20_000 }, { signal }),
    );
    if (result.value && result.value.stdout !== `${a * b}\n`) {
      this.#violation(`exec in ${sandbox.id} printed ${JSON.stringify(result.value)}`);
    }
    // Nobody has a use for what has failed, and it stands in the way of others.
    if (result.error?.code === "NotRunning" && result.error.message.includes("Failed")) await this.#remove(sandbox);
  }

  async #file(sandbox: KnownSandbox | undefined): Promise<void> {
    if (!sandbox) return;
    const content = Buffer.alloc(this.#parts.random.between(1, 2 ** 20), this.#nextName());
    const path = `/tmp/${this.#name}`;
    const { files } = this.#group;
    const written = await this.#call("write", (signal) => files.write(sandbox.id, path, content, { signal }));
    if (written.error) return;
    const read = await this.#call("read file", async (signal) => {
      const stream = await files.read(sandbox.id, path, { signal });
      return buffer(stream).catch((cause) => {
        if (signal.aborted) throw cause;
        throw new SandboxesError("HostUnavailable", "the stream broke off", { cause });
      });
    });
    if (read.value && !read.value.equals(content)) this.#violation(`a file of ${sandbox.id} has other content`);
  }

  async #change(what: "stop" | "resume", sandbox: KnownSandbox | undefined): Promise<void> {
    const target = what === "stop" ? "Stopped" : "Running";
    if (!sandbox) return;
    await this.#alone(sandbox, async () => {
      const result = await this.#call(what, (signal) => this.#group.sandboxes[what](sandbox.id, { signal }));
      if (result.value) sandbox.states = new Set([target]);
      else if (!isRefusal(result.error)) sandbox.states.add(target);
    });
  }

  async #patch(sandbox: KnownSandbox | undefined): Promise<void> {
    if (!sandbox) return;
    await this.#alone(sandbox, async () => {
      const labels = { [keyLabel]: sandbox.key, patch: this.#nextName() };
      const result = await this.#call("patch", (signal) =>
        this.#group.sandboxes.update(sandbox.id, { labels }, { signal }),
      );
      sandbox.labels = result.value ? [labels] : [...sandbox.labels, labels];
    });
  }

  async #remove(sandbox: KnownSandbox | undefined): Promise<void> {
    if (!sandbox || sandbox.busy) return;
    await this.#alone(sandbox, async () => {
      sandbox.fate = "mayBeGone";
      const result = await this.#call("delete", (signal) => this.#group.sandboxes.delete(sandbox.id, { signal }));
      if (!result.error) sandbox.fate = "gone";
    });
  }

  async #image(): Promise<void> {
    const { ledger, random, makeArchive } = this.#parts;
    const old = [...ledger.images.values()].filter(({ fate, isKept }) => fate === "lives" && !isKept);
    if (old.length >= 3) {
      const image = random.pick(old)!;
      image.fate = "mayBeGone";
      const gone = await this.#call("delete image", (signal) => this.#group.diskImages.delete(image.id, { signal }));
      if (!gone.error) image.fate = "gone";
      return;
    }
    const isBroken = random.next() < 0.2;
    const base = `rootfs:${await makeArchive(this.#nextName(), isBroken)}`;
    ledger.sentSources.add(base);
    const made = await this.#call("import", (signal) => this.#group.diskImages.create({ image: { base } }, { signal }));
    if (made.value) ledger.images.set(made.value.id, { id: made.value.id, fate: "lives" });
  }

  async #read(sandbox: KnownSandbox | undefined): Promise<void> {
    if (!sandbox) return;
    const { error } = await this.#call("read", (signal) => this.#group.sandboxes.get(sandbox.id, { signal }));
    // Another worker may have deleted it meanwhile.
    if (error?.code === "SandboxNotFound" && sandbox.fate === "lives") this.#violation(`${sandbox.id} is lost`);
  }

  async #alone(sandbox: KnownSandbox, work: () => Promise<void>): Promise<void> {
    sandbox.busy = true;
    await work();
    sandbox.busy = false;
  }

  /** What the host answered; an answer that is wrong whatever was killed is noted. */
  async #call<T>(
    what: string,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<{ value: T; error?: undefined } | { value?: undefined; error: SandboxesError }> {
    const limit = AbortSignal.timeout(hangsAfterMs);
    try {
      const value = await work(limit);
      this.#parts.ledger.count(`${what} ok`);
      return { value };
    } catch (error) {
      if (!isSandboxesError(error)) {
        this.#violation(limit.aborted ? `${what} hangs` : `${what} failed with ${(error as Error)?.stack}`);
        return { error: new SandboxesError("Internal", String(error)) };
      }
      this.#parts.ledger.count(`${what} ${error.code}`);
      const isRace = error.code === "SandboxNotFound"; // Told apart by who calls.
      if (!expected.has(error.code) && !isRace) this.#violation(`${what} was answered with ${error}`);
      return { error };
    }
  }

  #violation(what: string): void {
    this.#parts.ledger.violations.push(what);
  }

  #nextName(): string {
    this.#count += 1;
    return `${this.#name}-${this.#count}`;
  }
}

/** Answers that say the state is as it was. */
function isRefusal(error: SandboxesError): boolean {
  return ["NotRunning", "InvalidState", "SandboxNotFound"].includes(error.code);
}
