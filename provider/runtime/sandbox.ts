import type { CallOptions } from "../client/http";
import type { GroupApi } from "../client/sandboxApi";
import type { Isolation } from "../client/wire/groups";
import type { SandboxView } from "../client/wire/sandboxes";
import { BackgroundProcesses } from "./background";
import { type Command, type ExecOptions, type ExecResult, exec } from "./exec";
import { SandboxFiles } from "./files";
import { type Lifecycle, lifecycleContent } from "./lifecycle";
import { decisionOf, type Egress, type EgressDecision, egressContent, openPort, type PortOptions } from "./network";
import { type SandboxProcess, type SpawnOptions, spawn } from "./process";
import { Snapshot } from "./snapshot";

/** As the service says it; more may come. */
export type SandboxState = "Running" | "Stopped" | "Idle" | "Creating" | "Stopping" | "StopFailed" | (string & {});

export interface Resources {
  /** Processors, `500m` or `0.5`. */
  cpu: string;
  /** `512Mi`, `2Gi`. */
  memory: string;
  disk?: string;
}

/** One sandbox. What it tells of itself is as of the last answer; `refresh` asks again. */
export class Sandbox implements AsyncDisposable {
  readonly id: string;
  readonly files: SandboxFiles;
  readonly background: BackgroundProcesses;
  readonly #api: GroupApi;
  #view: SandboxView;

  constructor(api: GroupApi, view: SandboxView) {
    this.#api = api;
    this.#view = view;
    this.id = view.id;
    this.files = new SandboxFiles(api.files, view.id);
    this.background = new BackgroundProcesses(api.sandboxes.background(view.id));
  }

  get state(): SandboxState {
    return this.#view.state;
  }

  get labels(): Readonly<Record<string, string>> {
    return this.#view.labels;
  }

  /** Normalised by the service: `1000m`, `512Mi`. */
  get resources(): Readonly<Resources> | undefined {
    const { cpu, memory, disk } = this.#view.resources ?? {};
    return cpu && memory ? { cpu, memory, ...(disk ? { disk } : {}) } : undefined;
  }

  get isolation(): Isolation | undefined {
    return this.#view.isolation;
  }

  get createdAt(): Date | undefined {
    return this.#view.createdAt ? new Date(this.#view.createdAt) : undefined;
  }

  /** Runs a program, given as its arguments, or a line of `/bin/sh`, and waits for its end. */
  exec(command: Command, options: ExecOptions = {}): Promise<ExecResult> {
    return exec(this.#api.sandboxes, this.id, command, options);
  }

  /** Starts a program whose streams flow while it runs, with a terminal if wished. */
  spawn(command: Command, options: SpawnOptions = {}): Promise<SandboxProcess> {
    return spawn(this.#api.sandboxes, this.id, command, options);
  }

  /**
   * Opens a port that a program in it listens on, and answers the address at which HTTP gets there. One that is open
   * already stays as it is. See `PortOptions` for who gets in.
   */
  openPort(port: number, { signal, ...options }: PortOptions & CallOptions = {}): Promise<string> {
    return openPort(this.#api.sandboxes.ports(this.id), { ...options, port }, { signal });
  }

  /** Succeeds also when it was not open. */
  closePort(port: number, options: CallOptions = {}): Promise<void> {
    return this.#api.sandboxes.ports(this.id).remove(port, options);
  }

  /** Replaces what may leave it, from the next request on. Programs started before it allowed anything know no way out. */
  setEgress(egress: Egress, options: CallOptions = {}): Promise<void> {
    return this.#api.sandboxes.setEgressPolicy(this.id, egressContent(egress), options);
  }

  /** What it last asked for outside, oldest first: at most fifty that were allowed and fifty that were not. */
  async egressDecisions(options: CallOptions = {}): Promise<EgressDecision[]> {
    const { allowed, denied } = await this.#api.sandboxes.egressDecisions(this.id, options);
    const all = [...allowed.map((view) => decisionOf(true, view)), ...denied.map((view) => decisionOf(false, view))];
    return all.sort((one, other) => (one.at?.getTime() ?? 0) - (other.at?.getTime() ?? 0));
  }

  async refresh(options: CallOptions = {}): Promise<this> {
    this.#view = await this.#api.sandboxes.get(this.id, options);
    return this;
  }

  /** Stops it: its programs go on after `resume`. On a host it is on disk meanwhile. Rejects with `NotRunning` when it is stopped. */
  async stop(options: CallOptions = {}): Promise<void> {
    this.#view = await this.#api.sandboxes.stop(this.id, options);
  }

  /** Rejects with `InvalidState` when it runs. */
  async resume(options: CallOptions = {}): Promise<void> {
    this.#view = await this.#api.sandboxes.resume(this.id, options);
  }

  /** Saves what it is, to make others of; it runs on. Rejects with `NotRunning` when it is stopped. */
  async snapshot(options: CallOptions & { labels?: Record<string, string> } = {}): Promise<Snapshot> {
    const { labels, ...call } = options;
    return new Snapshot(this.#api.snapshots, await this.#api.snapshots.create(this.id, { labels }, call));
  }

  /**
   * Makes a disk image of its files and resolves with the image's id, to be given as `image`; its programs stand still
   * while they are read. Rejects with `NotRunning` when it is stopped.
   */
  async commit(options: CallOptions & { labels?: Record<string, string> } = {}): Promise<string> {
    const { labels, ...call } = options;
    const { id } = await this.#api.sandboxes.commit(this.id, { labels }, call);
    return (await this.#api.diskImages.waitUntilReady(id, call)).id;
  }

  /** Replaces what happens to it by itself. */
  async setLifecycle(lifecycle: Lifecycle, options: CallOptions = {}): Promise<void> {
    this.#view = await this.#api.sandboxes.setLifecycle(this.id, lifecycleContent(lifecycle), options);
  }

  /** Ends and forgets it, whatever its state. Repeatable. */
  delete(options: CallOptions = {}): Promise<void> {
    return this.#api.sandboxes.delete(this.id, options);
  }

  /** `await using` deletes it at the end of the scope. */
  [Symbol.asyncDispose](): Promise<void> {
    return this.delete();
  }
}
