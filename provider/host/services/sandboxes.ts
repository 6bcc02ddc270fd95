import { randomUUID } from "node:crypto";
import { setTimeout as sleep } from "node:timers/promises";
import { SandboxesError } from "../../client/errors";
import { type Labels, matchesLabels } from "../../client/wire/labels";
import type { GroupRecord } from "../store/groupStore";
import type { SandboxRecord, SandboxStore } from "../store/sandboxStore";
import type { Vm } from "../vm/driver";
import type { HostLog } from "./hostLog";
import { checkIsolation } from "./isolation";
import { machineSize, type NewSandbox, newSandbox } from "./newSandbox";
import { Serial } from "./serial";
import { refreshGuest, type StartParts, startSandbox } from "./startSandbox";
import { timestamp } from "./timestamp";

/** A first start builds the template; clients give up on a silent answer after 300 s, so `Creating` comes before. */
const answerCreateWithinMs = 120_000;

export interface SandboxServiceParts extends StartParts {
  store: SandboxStore;
  log: HostLog;
}

/** The life of sandboxes: Creating, Running, Stopping, Stopped, Deleting; Failed when the machine is lost. */
export class SandboxService {
  readonly #parts: SandboxServiceParts;
  readonly #vms = new Map<string, Vm>();
  readonly #starting = new Map<string, { abort: AbortController; ended: Promise<unknown> }>();
  readonly #serial = new Serial();
  /** Sandboxes whose own program ended with the connection of a former process. */
  readonly #programLost = new Set<string>();
  #closing = false;

  constructor(parts: SandboxServiceParts) {
    this.#parts = parts;
  }

  /**
   * Makes a sandbox and answers when it runs, or `Creating` when that takes minutes. A failure before the answer
   * leaves nothing; one after it leaves a `Failed` record for whoever polls.
   */
  async create(group: GroupRecord, body: NewSandbox): Promise<SandboxRecord> {
    const { store, admission, diskImages, driver } = this.#parts;
    if (this.#closing) throw hostStops();
    checkIsolation(group.properties, driver.capabilities);
    const record = newSandbox(group.key, body, driver.capabilities);
    diskImages.checkSource(group.key, body.sourcesRef);
    admission.reserve(record.id, machineSize(record).memoryMiB);
    store.put(record);
    const started = this.#start(record, group.properties);
    const giveUp = new AbortController();
    const answer = await Promise.race([
      started.catch((error: unknown) => ({ error })),
      sleep(answerCreateWithinMs, undefined, { signal: giveUp.signal }).catch(() => undefined),
    ]).finally(() => giveUp.abort());
    if (answer === undefined) {
      started.catch((error: unknown) => this.#markFailed(record.id, `it could not be started: ${String(error)}`));
      return record;
    }
    if ("error" in answer) {
      store.delete(record.id);
      throw answer.error;
    }
    return answer;
  }

  /** Throws `SandboxNotFound`. */
  get(groupKey: string, id: string): SandboxRecord {
    const record = this.#parts.store.get(groupKey, id);
    if (!record) throw new SandboxesError("SandboxNotFound", `The sandbox "${id}" does not exist`);
    return record;
  }

  /** Stopped and failed ones included; all pairs of the selector must match. */
  list(groupKey: string, selector: Labels = {}): SandboxRecord[] {
    return this.#parts.store.list(groupKey).filter((record) => matchesLabels(record.labels, selector));
  }

  /** How many there are in each state, over all groups. */
  countByState(): Record<string, number> {
    const counts: Record<string, number> = {};
    for (const { state } of this.#parts.store.all()) counts[state] = (counts[state] ?? 0) + 1;
    return counts;
  }

  /** Replaces the labels when given. */
  update(groupKey: string, id: string, change: { labels?: Labels }): SandboxRecord {
    return this.#save(this.get(groupKey, id), change.labels ? { labels: change.labels } : {});
  }

  /** False when there was none. Repeatable, also while it is being created. */
  async delete(groupKey: string, id: string): Promise<boolean> {
    const record = this.#parts.store.get(groupKey, id);
    if (!record) return false;
    this.#starting
      .get(record.id)
      ?.abort.abort(new SandboxesError("Conflict", `The sandbox "${id}" was deleted meanwhile`));
    this.#save(record, { state: "Deleting" });
    return this.#serial.run(record.id, async () => {
      if (!this.#parts.store.get(groupKey, id)) return false;
      await this.#end(record.id);
      this.#parts.store.delete(record.id);
      return true;
    });
  }

  /** Freezes it in memory; throws `NotRunning` otherwise. */
  stop(groupKey: string, id: string): Promise<SandboxRecord> {
    return this.#serial.run(id.toLowerCase(), async () => {
      const record = this.get(groupKey, id);
      const vm = this.#vmOf(record);
      this.#save(record, { state: "Stopping" });
      try {
        await vm.pause();
      } catch (error) {
        this.#save(record, { state: "Running" });
        throw error;
      }
      const stateDetails = { stoppedReason: "UserStopped", stoppedAt: timestamp() };
      return this.#save(record, { state: "Stopped", stateDetails, snapshotId: randomUUID() });
    });
  }

  /** Goes on where it was stopped; throws `InvalidState` when it is not. Open connections of its own may be dead. */
  resume(groupKey: string, id: string): Promise<SandboxRecord> {
    return this.#serial.run(id.toLowerCase(), async () => {
      const record = this.get(groupKey, id);
      const vm = this.#vms.get(record.id);
      if (record.state !== "Stopped" || !vm) {
        throw new SandboxesError("InvalidState", `Sandbox '${id}' cannot be resumed: it is ${record.state}`);
      }
      await this.#wake(record, vm);
      return this.#save(record, { state: "Running" });
    });
  }

  /** The machine of a running sandbox, to run things in; `activate` resumes a stopped one first. */
  async running(groupKey: string, id: string, activate = false): Promise<{ record: SandboxRecord; vm: Vm }> {
    let record = this.get(groupKey, id);
    if (activate && record.state === "Stopped") record = await this.resume(groupKey, id);
    return { record, vm: this.#vmOf(record) };
  }

  /** Takes over a machine that a former process left; `vm` is undefined when it is gone. */
  async adopt(record: SandboxRecord, vm: Vm | undefined): Promise<void> {
    if (!vm) {
      this.#save(record, failed("its virtual machine ended while the host was away"));
      return this.#end(record.id);
    }
    this.#parts.admission.reserveRunning(record.id, machineSize(record).memoryMiB);
    this.#watch(record.id, vm);
    this.#programLost.add(record.id);
    if (record.state === "Running") await this.#wake(record, vm);
    else {
      await vm.pause();
      this.#save(record, { state: "Stopped" });
    }
  }

  /** Deletes all of a group. */
  async empty(groupKey: string): Promise<void> {
    await Promise.all(this.list(groupKey).map((record) => this.delete(groupKey, record.id)));
  }

  /** Ends every machine; their records say why. For a host that stops and leaves nothing behind. */
  async endAll(): Promise<void> {
    this.#giveUpStarts();
    const ending = this.#parts.store.all().map((record) =>
      this.#serial.run(record.id, async () => {
        await this.#end(record.id);
        this.#markFailed(record.id, "the host was stopped, and its virtual machine with it");
      }),
    );
    await Promise.all(ending);
  }

  /** Lets go of machines without ending them; resolves when nothing is being started any more. */
  async close(): Promise<void> {
    this.#giveUpStarts();
    await Promise.all([...this.#starting.values()].map(({ ended }) => ended));
    this.#vms.clear();
  }

  #giveUpStarts(): void {
    this.#closing = true;
    for (const { abort } of this.#starting.values()) abort.abort(hostStops());
  }

  #start(record: SandboxRecord, properties: Record<string, unknown>): Promise<SandboxRecord> {
    const abort = new AbortController();
    const started = this.#serial.run(record.id, async () => {
      try {
        return await this.#bringUp(record, properties, abort.signal);
      } catch (error) {
        await this.#end(record.id);
        throw abort.signal.aborted ? abort.signal.reason : error;
      }
    });
    const ended = started.catch(() => undefined).finally(() => this.#starting.delete(record.id));
    this.#starting.set(record.id, { abort, ended });
    return started;
  }

  async #bringUp(
    record: SandboxRecord,
    properties: Record<string, unknown>,
    signal: AbortSignal,
  ): Promise<SandboxRecord> {
    const started = await startSandbox(this.#parts, record, signal);
    signal.throwIfAborted();
    // Again: a guest that does not boot under KVM has been emulated meanwhile.
    const { capabilities } = this.#parts.driver;
    checkIsolation(properties, capabilities);
    this.#watch(record.id, started.vm);
    const running = this.#save(started.record, { state: "Running", isolation: capabilities.isolation });
    this.#startProgram(running, started.vm);
    return running;
  }

  async #wake(record: SandboxRecord, vm: Vm): Promise<void> {
    if (vm.paused) {
      await vm.resume();
      await refreshGuest(record.id, vm);
    }
    // A guest ends what it ran for a host that went away.
    if (this.#programLost.delete(record.id)) this.#startProgram(record, vm);
  }

  /** A sandbox stays when its program ends or cannot start, as on Azure; what it prints is dropped. */
  #startProgram(record: SandboxRecord, vm: Vm): void {
    const program = record.program;
    if (!program?.argv.length) return;
    const run = async () => {
      const { argv, env, user } = program;
      const started = await vm.agent.exec({ argv, env, user, cwd: program.workingDirectory });
      started.stdout.resume();
      started.stderr.resume();
      await started.exit;
    };
    run().catch((error: unknown) =>
      this.#parts.log.warn({ sandbox: record.id, error: String(error) }, "the sandbox's own program failed"),
    );
  }

  #vmOf(record: SandboxRecord): Vm {
    const vm = this.#vms.get(record.id);
    if (record.state === "Running" && vm) return vm;
    const reason = record.stateDetails?.failedReason;
    throw new SandboxesError(
      "NotRunning",
      `Sandbox '${record.id}' is not in Running state: it is ${record.state}${reason ? `, ${reason}` : ""}`,
    );
  }

  #watch(id: string, vm: Vm): void {
    this.#vms.set(id, vm);
    void vm.exited.then(async ({ reason }) => {
      if (this.#vms.get(id) !== vm) return; // It was ended on purpose.
      this.#parts.log.warn({ sandbox: id, reason }, "a virtual machine ended by itself");
      this.#markFailed(id, `its virtual machine ended: ${reason}`);
      await this.#end(id);
    });
  }

  async #end(id: string): Promise<void> {
    this.#vms.delete(id);
    this.#programLost.delete(id);
    await this.#parts.driver.destroy(id);
    this.#parts.admission.release(id);
  }

  #markFailed(id: string, reason: string): void {
    const record = this.#parts.store.find(id);
    if (record && record.state !== "Deleting" && record.state !== "Failed") this.#save(record, failed(reason));
  }

  /** The record as it is now with the change: a caller's copy may be old. */
  #save(record: SandboxRecord, change: Partial<SandboxRecord>): SandboxRecord {
    const { store } = this.#parts;
    const current = store.get(record.groupKey, record.id);
    const { labels } = current ?? record;
    const next = { ...record, labels, ...change };
    store.put(next);
    return next;
  }
}

function hostStops(): SandboxesError {
  return new SandboxesError("HostUnavailable", "The host stops");
}

function failed(reason: string): Partial<SandboxRecord> {
  return { state: "Failed", stateDetails: { failedReason: reason, failedAt: timestamp() } };
}
