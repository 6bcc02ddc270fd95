import { setTimeout as sleep } from "node:timers/promises";
import { isSandboxesError, SandboxesError } from "../../client/errors";
import { type Labels, matchesLabels } from "../../client/wire/labels";
import type { GroupRecord } from "../store/groupStore";
import type { SandboxRecord, SandboxStore } from "../store/sandboxStore";
import type { Vm } from "../vm/driver";
import type { HostLog } from "./hostLog";
import { checkIsolation } from "./isolation";
import { Machines } from "./machines";
import { machineSize, type NewSandbox, newSandbox } from "./newSandbox";
import { startOwnProgram } from "./ownProgram";
import type { SandboxNetwork } from "./sandboxNetwork";
import { saveChange, saveFailure, stopped } from "./sandboxRecords";
import { Serial } from "./serial";
import { refreshGuest, type StartParts, startSandbox } from "./startSandbox";

/** A first start builds the template; clients give up on a silent answer after 300 s, so `Creating` comes before. */
const answerCreateWithinMs = 120_000;

export interface SandboxServiceParts extends StartParts {
  store: SandboxStore;
  /** Absent: nothing leaves, and nothing has to be told of. */
  network?: SandboxNetwork;
  log: HostLog;
}

/** What a sandbox is created with besides what its request says, checked elsewhere. */
export type NetworkSettings = Pick<SandboxRecord, "ports" | "egressPolicy" | "egressPolicyId">;

/** The life of sandboxes: Creating, Running, Stopping, Stopped, Deleting; Failed when the machine is lost. */
export class SandboxService {
  readonly #parts: SandboxServiceParts;
  readonly #machines: Machines;
  readonly #starting = new Map<string, { abort: AbortController; ended: Promise<unknown> }>();
  readonly #serial = new Serial();
  /** Sandboxes whose own program ended with the connection of a former process. */
  readonly #programLost = new Set<string>();
  #closing = false;

  constructor(parts: SandboxServiceParts) {
    this.#parts = parts;
    this.#machines = new Machines(parts);
  }

  /**
   * Makes a sandbox and answers when it runs, or `Creating` when that takes minutes. A failure before the answer
   * leaves nothing; one after it leaves a `Failed` record for whoever polls.
   */
  async create(group: GroupRecord, body: NewSandbox, network: NetworkSettings = {}): Promise<SandboxRecord> {
    const { store, admission, diskImages, driver } = this.#parts;
    if (this.#closing) throw hostStops();
    checkIsolation(group.properties, driver.capabilities);
    const record = { ...newSandbox(group.key, body, driver.capabilities), ...network };
    diskImages.checkSource(group.key, body.sourcesRef);
    admission.reserve(record.id, machineSize(record).memoryMiB);
    try {
      store.put(record);
    } catch (error) {
      admission.release(record.id);
      throw error;
    }
    const started = this.#start(record, group.properties);
    const giveUp = new AbortController();
    const answer = await Promise.race([
      started.catch((error: unknown) => ({ error })),
      sleep(answerCreateWithinMs, undefined, { signal: giveUp.signal }).catch(() => undefined),
    ]).finally(() => giveUp.abort());
    if (answer === undefined) {
      this.#failUnlessStarted(record, started);
      const current = store.get(group.key, record.id) ?? record;
      return current.state === "Creating" ? this.#save(current, { acknowledged: true }) : current;
    }
    if ("error" in answer) {
      store.delete(record.id);
      this.#parts.network?.removed(record.id);
      throw answer.error;
    }
    return answer;
  }

  /** For programs of the sandbox, besides its own variables. */
  async environment(record: SandboxRecord): Promise<Record<string, string>> {
    return (await this.#parts.network?.environment(record)) ?? {};
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
      this.#programLost.delete(record.id);
      await this.#machines.end(record.id);
      this.#parts.store.delete(record.id);
      this.#parts.network?.removed(record.id);
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
        // If it is because the machine has ended, what follows of that is next in line.
        this.#save(record, { state: "Running" });
        throw error;
      }
      return this.#save(record, stopped());
    });
  }

  /** Goes on where it was stopped; throws `InvalidState` when it is not. Open connections of its own may be dead. */
  resume(groupKey: string, id: string): Promise<SandboxRecord> {
    return this.#serial.run(id.toLowerCase(), async () => {
      const record = this.get(groupKey, id);
      const vm = this.#machines.get(record.id);
      if (record.state !== "Stopped" || !vm) {
        throw new SandboxesError("InvalidState", `Sandbox '${id}' cannot be resumed: it is ${record.state}`);
      }
      try {
        await this.#wake(record, vm);
      } catch (error) {
        // As its record says; a machine that cannot be stopped any more is ended by the driver.
        await vm.pause().catch(() => undefined);
        throw error;
      }
      return this.#save(record, { state: "Running" });
    });
  }

  /** The machine of a running sandbox, to run things in; `activate` resumes a stopped one first. */
  async running(groupKey: string, id: string, activate = false): Promise<{ record: SandboxRecord; vm: Vm }> {
    let record = this.get(groupKey, id);
    if (activate && (record.state === "Stopped" || record.state === "Stopping")) {
      record = await this.resume(groupKey, id).catch((error: unknown) => {
        // Of several who want it, one resumes it.
        const current = this.get(groupKey, id);
        if (isSandboxesError(error, "InvalidState") && current.state === "Running") return current;
        throw error;
      });
    }
    return { record, vm: this.#vmOf(record) };
  }

  /** Takes over what a former process left; a machine that is gone, or does not come back, is told in the record. */
  adopt(record: SandboxRecord, find: () => Promise<Vm | undefined>): Promise<"found" | "lost"> {
    return this.#serial.run(record.id, async () => {
      try {
        const vm = await find();
        if (!vm) throw new SandboxesError("GuestFailed", "its virtual machine ended while the host was away");
        this.#parts.admission.reserveRunning(record.id, machineSize(record).memoryMiB);
        this.#keep(record.id, vm);
        this.#programLost.add(record.id);
        if (record.state === "Running") {
          await this.#wake(record, vm);
        } else {
          await vm.pause();
          if (record.state !== "Stopped") this.#save(record, stopped());
        }
        return "found";
      } catch (error) {
        const reason = isSandboxesError(error) ? error.message : String(error);
        this.#parts.log.warn({ sandbox: record.id, reason }, "a sandbox of a former process is lost");
        await this.#giveUp(record.id, reason);
        return "lost";
      }
    });
  }

  /** Goes on with a creation that was answered `Creating` by a former process. */
  createAgain(record: SandboxRecord, group: GroupRecord): void {
    this.#parts.admission.reserveRunning(record.id, machineSize(record).memoryMiB);
    this.#failUnlessStarted(record, this.#start(record, group.properties));
  }

  /** Deletes all of a group. */
  async empty(groupKey: string): Promise<void> {
    await Promise.all(this.list(groupKey).map((record) => this.delete(groupKey, record.id)));
  }

  /** Ends every machine; their records say why. For a host that stops and leaves nothing behind. */
  async endAll(): Promise<void> {
    this.#giveUpStarts();
    const reason = "the host was stopped, and its virtual machine with it";
    const ending = this.#parts.store.all().map(({ id }) => this.#serial.run(id, () => this.#giveUp(id, reason)));
    await Promise.all(ending);
  }

  /** Lets go of machines without ending them; resolves when nothing is being started any more. */
  async close(): Promise<void> {
    this.#giveUpStarts();
    await Promise.all([...this.#starting.values()].map(({ ended }) => ended));
    this.#machines.release();
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
        await this.#machines.end(record.id);
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
    this.#keep(record.id, started.vm);
    const running = this.#save(started.record, { state: "Running", isolation: capabilities.isolation });
    await this.#parts.network?.guestUp(running, started.vm.agent);
    startOwnProgram(running, started.vm, this.#parts);
    return running;
  }

  #failUnlessStarted(record: SandboxRecord, started: Promise<unknown>): void {
    started.catch((error: unknown) => {
      // Given up with the host, it is begun again with the next one.
      if (!this.#closing) saveFailure(this.#parts.store, record.id, `it could not be started: ${String(error)}`);
    });
  }

  async #wake(record: SandboxRecord, vm: Vm): Promise<void> {
    const slept = vm.paused || record.state !== "Running";
    await vm.resume();
    if (slept) await refreshGuest(record.id, vm);
    await this.#parts.network?.guestUp(record, vm.agent);
    // A guest ends what it ran for a host that went away.
    if (this.#programLost.delete(record.id)) startOwnProgram(record, vm, this.#parts);
  }

  #vmOf(record: SandboxRecord): Vm {
    const vm = this.#machines.get(record.id);
    if (record.state === "Running" && vm) return vm;
    const reason = record.stateDetails?.failedReason;
    throw new SandboxesError(
      "NotRunning",
      `Sandbox '${record.id}' is not in Running state: it is ${record.state}${reason ? `, ${reason}` : ""}`,
    );
  }

  #keep(id: string, vm: Vm): void {
    this.#machines.keep(id, vm, (reason) => {
      this.#parts.log.warn({ sandbox: id, reason }, "a virtual machine ended by itself");
      // In its turn: a stop or resume under way would write over it.
      void this.#serial.run(id, async () => {
        if (this.#machines.get(id) === vm) await this.#giveUp(id, `its virtual machine ended: ${reason}`);
      });
    });
  }

  /** Notes why a sandbox failed, and ends what is left of it; never rejects. */
  async #giveUp(id: string, reason: string): Promise<void> {
    try {
      this.#programLost.delete(id);
      saveFailure(this.#parts.store, id, reason);
      await this.#machines.end(id);
    } catch (error) {
      // A process that does not end: the next start of the host meets it again.
      this.#parts.log.error({ sandbox: id, error: String(error) }, "what is left of a sandbox could not be removed");
    }
  }

  #save(record: SandboxRecord, change: Partial<SandboxRecord>): SandboxRecord {
    return saveChange(this.#parts.store, record, change);
  }
}

function hostStops(): SandboxesError {
  return new SandboxesError("HostUnavailable", "The host stops");
}
