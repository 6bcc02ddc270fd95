import type { CallOptions } from "../client/http";
import type { GroupApi } from "../client/sandboxApi";
import type { Isolation } from "../client/wire/groups";
import type { SandboxView } from "../client/wire/sandboxes";
import { type Command, type ExecOptions, type ExecResult, exec } from "./exec";
import { SandboxFiles } from "./files";
import { type SandboxProcess, type SpawnOptions, spawn } from "./process";

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
  readonly #api: GroupApi;
  #view: SandboxView;

  constructor(api: GroupApi, view: SandboxView) {
    this.#api = api;
    this.#view = view;
    this.id = view.id;
    this.files = new SandboxFiles(api.files, view.id);
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

  async refresh(options: CallOptions = {}): Promise<this> {
    this.#view = await this.#api.sandboxes.get(this.id, options);
    return this;
  }

  /** Suspends it: processes and memory stay. Rejects with `NotRunning` when it is stopped. */
  async stop(options: CallOptions = {}): Promise<void> {
    this.#view = await this.#api.sandboxes.stop(this.id, options);
  }

  /** Rejects with `InvalidState` when it runs. */
  async resume(options: CallOptions = {}): Promise<void> {
    this.#view = await this.#api.sandboxes.resume(this.id, options);
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
