import { setTimeout as sleep } from "node:timers/promises";
import { isSandboxesError, SandboxesError } from "../../client/errors";
import { type Labels, matchesLabels } from "../../client/wire/labels";
import type { LifecyclePolicy } from "../../client/wire/sandboxes";
import type { GroupRecord } from "../store/groupStore";
import type { SandboxRecord, SandboxState, SandboxStore } from "../store/sandboxStore";
import type { Vm } from "../vm/driver";
import { restoreSandbox, sandboxOfSnapshot } from "./copiedSandbox";
import type { HostLog } from "./hostLog";
import { checkIsolation } from "./isolation";
import type { LifecycleService } from "./lifecycle";
import { mergedPolicy } from "./lifecyclePlan";
import { Machines } from "./machines";
import { machineSize, type NewSandbox, newSandbox } from "./newSandbox";
import { startOwnProgram } from "./ownProgram";
import type { SandboxNetwork } from "./sandboxNetwork";
import { isDisabled, type StoppedReason, saveChange, saveFailure, stopped } from "./sandboxRecords";
import { Serial } from "./serial";
import { refreshGuest, type StartParts, startSandbox } from "./startSandbox";
import { timestamp } from "./timestamp";

/** A first start builds the template; clients give up on a silent answer after 300 s, so `Creating` comes before. */
const answerCreateWithinMs = 120_000;

export interface SandboxServiceParts extends StartParts {
  store: SandboxStore;
  /** Absent: nothing leaves, and nothing has to be told of. */
  network?: SandboxNetwork;
  /** Absent: nothing happens to a sandbox by itself. */
  lifecycle?: Pick<LifecycleService, "changed" | "touch" | "hold" | "isIdle" | "forget">;
  log: HostLog;
}

/** What a sandbox is created with besides what its request says, checked elsewhere. */
export type NetworkSettings = Pick<SandboxRecord, "ports" | "egressPolicy" | "egressPolicyId" | "volumes">;

/** The life of sandboxes: Creating, Running, Stopping, Stopped, Deleting; Failed when the machine is lost. */
export class SandboxService {
  readonly #parts: SandboxServiceParts;
  readonly #machines: Machines;
  readonly #starting = new Map<string, { abort: AbortController; ended: Promise<unknown> }>();
  readonly #serial = new Serial();
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
    const snapshot = this.#parts.snapshots.source(group.key, body.sourcesRef);
    const made = snapshot
      ? sandboxOfSnapshot(snapshot, body, driver.capabilities)
      : newSandbox(group.key, body, driver.capabilities);
    const record = { ...made, ...network };
    if (!snapshot) diskImages.checkSource(group.key, body.sourcesRef);
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
      this.#removed(record.id);
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
    const record = this.find(groupKey, id);
    if (!record) throw new SandboxesError("SandboxNotFound", `The sandbox "${id}" does not exist`);
    return record;
  }

  find(groupKey: string, id: string): SandboxRecord | undefined {
    return this.#parts.store.get(groupKey, id);
  }

  stateOf(groupKey: string, id: string): SandboxState | undefined {
    return this.find(groupKey, id)?.state;
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

  /** Changes what is given of its policies. */
  setLifecycle(groupKey: string, id: string, policy: LifecyclePolicy): SandboxRecord {
    const record = this.get(groupKey, id);
    return this.#save(record, { lifecycle: mergedPolicy(record.lifecycle, policy) });
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
      await this.#machines.end(record.id);
      this.#parts.store.delete(record.id);
      this.#removed(record.id);
      return true;
    });
  }

  /** Puts it on disk, its processes as they are; throws `NotRunning` otherwise. After a failure it runs on. */
  stop(groupKey: string, id: string): Promise<SandboxRecord> {
    return this.#serial.run(id.toLowerCase(), async () => this.#suspend(this.get(groupKey, id), "UserStopped"));
  }

  /** Stops it unless it is used again; false then. */
  stopIdle({ groupKey, id }: SandboxRecord): Promise<boolean> {
    return this.#serial.run(id, async () => {
      const record = this.#parts.store.get(groupKey, id);
      if (record?.state !== "Running" || !this.#parts.lifecycle?.isIdle(record)) return false;
      await this.#suspend(record, "Idle");
      return true;
    });
  }

  /** Stops it, and it stays so until `enable`. Repeatable. */
  disable(groupKey: string, id: string): Promise<SandboxRecord> {
    return this.#serial.run(id.toLowerCase(), async () => {
      const record = this.get(groupKey, id);
      if (record.state !== "Stopped") return this.#suspend(record, "Disabled");
      return this.#save(record, { stateDetails: { ...record.stateDetails, stoppedReason: "Disabled" } });
    });
  }

  /** Lets it be resumed again; it stays stopped. Repeatable. */
  enable(groupKey: string, id: string): Promise<SandboxRecord> {
    return this.#serial.run(id.toLowerCase(), async () => {
      const record = this.get(groupKey, id);
      if (!isDisabled(record)) return record;
      return this.#save(record, { stateDetails: { ...record.stateDetails, stoppedReason: "UserStopped" } });
    });
  }

  /** Goes on where it was stopped; throws `InvalidState` when it is not. Open connections of its own may be dead. */
  resume(groupKey: string, id: string): Promise<SandboxRecord> {
    return this.#serial.run(id.toLowerCase(), async () => {
      const record = this.get(groupKey, id);
      if (this.#closing) throw hostStops();
      if (isDisabled(record)) {
        throw new SandboxesError("InvalidState", `Sandbox '${id}' cannot be resumed: it is disabled`, {
          serviceCode: "SandboxAdminDisabled",
          hint: "enable it first",
        });
      }
      if (record.state !== "Stopped") {
        throw new SandboxesError("InvalidState", `Sandbox '${id}' cannot be resumed: it is ${record.state}`);
      }
      return this.#resume(record);
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
    const vm = this.#vmOf(record);
    this.#parts.lifecycle?.touch(record.id);
    return { record, vm };
  }

  /** As `running`, by somebody whose looking is no use of it. */
  observed(groupKey: string, id: string): { record: SandboxRecord; vm: Vm } {
    const record = this.get(groupKey, id);
    return { record, vm: this.#vmOf(record) };
  }

  /** Notes that a caller uses it until the returned function is called, which is repeatable. */
  hold(id: string): () => void {
    return this.#parts.lifecycle?.hold(id) ?? (() => undefined);
  }

  /** Work that needs a running sandbox which is not stopped, resumed or deleted meanwhile. */
  whileRunning<Result>(
    groupKey: string,
    id: string,
    work: (record: SandboxRecord, vm: Vm) => Promise<Result>,
  ): Promise<Result> {
    return this.#serial.run(id.toLowerCase(), async () => {
      const { record, vm } = await this.running(groupKey, id);
      const release = this.hold(record.id);
      return work(record, vm).finally(release);
    });
  }

  /**
   * Takes over what a former process left: a machine that runs, whatever was being done to it, or one on disk. One that
   * is gone, or does not come back, is told in the record.
   */
  adopt(record: SandboxRecord): Promise<"found" | "lost"> {
    const { driver, admission, log } = this.#parts;
    return this.#serial.run(record.id, async () => {
      try {
        const saved = await driver.suspended(record.id);
        if (saved) {
          const asked = record.state === "Stopping" ? record.stateDetails?.stoppedReason : undefined;
          if (record.state !== "Stopped") this.#save(record, stopped(asked ?? "UserStopped", saved));
          return "found";
        }
        const vm = await driver.adopt(record.id);
        if (!vm) throw new SandboxesError("GuestFailed", lostBecause(record));
        admission.reserveRunning(record.id, machineSize(record).memoryMiB);
        this.#keep(record.id, vm);
        if (record.state === "Stopping" && (await this.#finishStop(record))) return "found";
        const slept = vm.paused || record.state !== "Running";
        await vm.resume();
        if (slept) await refreshGuest(record.id, vm);
        if (record.state !== "Running") this.#save(record, { state: "Running" });
        await this.#parts.network?.guestUp(record, vm.agent);
        return "found";
      } catch (error) {
        const reason = isSandboxesError(error) ? error.message : String(error);
        log.warn({ sandbox: record.id, reason }, "a sandbox of a former process is lost");
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

  /** Ends every machine that runs; their records say why. For a host that stops and leaves nothing behind. */
  async endAll(): Promise<void> {
    this.#giveUpStarts();
    const reason = "the host was stopped, and its virtual machine with it";
    const ending = this.#parts.store.all().map(({ id }) =>
      this.#serial.run(id, async () => {
        // What is on disk needs nothing that runs.
        if (this.#parts.store.find(id)?.state !== "Stopped") await this.#giveUp(id, reason);
      }),
    );
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
    const ended = started
      .catch(() => undefined)
      .finally(() => {
        this.#starting.delete(record.id);
        this.#parts.diskImages.letGo(record.id);
      });
    this.#starting.set(record.id, { abort, ended });
    return started;
  }

  async #bringUp(
    record: SandboxRecord,
    properties: Record<string, unknown>,
    signal: AbortSignal,
  ): Promise<SandboxRecord> {
    const isCopy = record.sourcesRef.snapshot !== undefined;
    const started = await (isCopy ? restoreSandbox : startSandbox)(this.#parts, record, signal);
    signal.throwIfAborted();
    // Again: a guest that does not boot under KVM has been emulated meanwhile.
    const { capabilities } = this.#parts.driver;
    checkIsolation(properties, capabilities);
    this.#keep(record.id, started.vm);
    const { isolation } = capabilities;
    const running = this.#save(started.record, { state: "Running", isolation, lastActiveAt: timestamp() });
    // Not from its creation on, which a template may have made long.
    this.#parts.lifecycle?.touch(record.id);
    await this.#parts.network?.guestUp(running, started.vm.agent);
    // A copy has it already, in the midst of its work.
    if (!isCopy) startOwnProgram(running, started.vm, this.#parts);
    return running;
  }

  #failUnlessStarted(record: SandboxRecord, started: Promise<unknown>): void {
    started.catch((error: unknown) => {
      // Given up with the host, it is begun again with the next one.
      if (!this.#closing) saveFailure(this.#parts.store, record.id, `it could not be started: ${String(error)}`);
    });
  }

  /** False when it cannot be stopped now; it may run on then. */
  async #finishStop(record: SandboxRecord): Promise<boolean> {
    const reason = record.stateDetails?.stoppedReason ?? "UserStopped";
    try {
      this.#save(record, stopped(reason, await this.#machines.suspend(record.id)));
      return true;
    } catch (error) {
      this.#parts.log.warn({ sandbox: record.id, error: String(error) }, "a stop could not be finished");
      return false;
    }
  }

  async #suspend(record: SandboxRecord, reason: StoppedReason): Promise<SandboxRecord> {
    this.#vmOf(record);
    // For whoever has to finish it.
    this.#save(record, { state: "Stopping", stateDetails: { stoppedReason: reason } });
    try {
      return this.#save(record, stopped(reason, await this.#machines.suspend(record.id)));
    } catch (error) {
      // If it is because the machine has ended, what follows of that is next in line.
      this.#save(record, { state: "Running", stateDetails: record.stateDetails });
      throw error;
    }
  }

  async #resume(record: SandboxRecord): Promise<SandboxRecord> {
    const { id, groupKey } = record;
    try {
      const vm = await this.#machines.wake(id, groupKey, machineSize(record).memoryMiB);
      this.#keep(id, vm);
      await refreshGuest(id, vm);
      const running = this.#save(record, { state: "Running", lastActiveAt: timestamp() });
      this.#parts.lifecycle?.touch(id);
      await this.#parts.network?.guestUp(running, vm.agent);
      return running;
    } catch (error) {
      // It stays stopped where it can: what is on disk is still there, or is made again.
      if (this.#machines.get(id)) await this.#machines.suspend(id).catch(() => undefined);
      if (!(await this.#parts.driver.suspended(id))) {
        await this.#giveUp(id, `it could not be resumed: ${isSandboxesError(error) ? error.message : String(error)}`);
      }
      throw error;
    }
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
      saveFailure(this.#parts.store, id, reason);
      await this.#machines.end(id);
    } catch (error) {
      // A process that does not end: the next start of the host meets it again.
      this.#parts.log.error({ sandbox: id, error: String(error) }, "what is left of a sandbox could not be removed");
    }
  }

  #save(record: SandboxRecord, change: Partial<SandboxRecord>): SandboxRecord {
    const saved = saveChange(this.#parts.store, record, change);
    this.#parts.lifecycle?.changed(saved);
    return saved;
  }

  #removed(id: string): void {
    this.#parts.network?.removed(id);
    this.#parts.lifecycle?.forget(id);
  }
}

function lostBecause({ state }: SandboxRecord): string {
  if (state === "Stopped") return "what it was stopped with is not on disk any more";
  return "its virtual machine ended while the host was away";
}

function hostStops(): SandboxesError {
  return new SandboxesError("HostUnavailable", "The host stops");
}
