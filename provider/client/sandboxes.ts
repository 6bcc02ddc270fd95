import type { Slots } from "../slots";
import { BackgroundApi } from "./background";
import { SandboxesError } from "./errors";
import { executeCommand, executeShellCommand } from "./exec";
import { type ExecStream, type OpenExecOptions, openExecStream } from "./execStream";
import { isMissing } from "./failures";
import type { CallOptions, HttpClient, HttpRequest } from "./http";
import { allOf, eachOf } from "./pages";
import { poll } from "./poll";
import { PortsApi } from "./ports";
import type { DiskImageView } from "./wire/diskImages";
import { type EgressDecisionsView, type EgressPolicyContent, egressDecisionsView } from "./wire/egress";
import type { ExecResultView, ExecStart, ExecuteCommandContent, ExecuteShellCommandContent } from "./wire/exec";
import { formatLabelSelector, type Labels, matchesLabels } from "./wire/labels";
import {
  type CreateSandboxContent,
  createSandboxContent,
  type LifecyclePolicy,
  type SandboxView,
  sandboxPage,
  sandboxView,
  type UpdateSandboxContent,
} from "./wire/sandboxes";
import { type CreateSnapshotContent, commitResult } from "./wire/snapshots";
import { type SandboxStatsView, sandboxStatsView } from "./wire/stats";
import type { SandboxVolume } from "./wire/volumes";

export interface ListSandboxesOptions extends CallOptions {
  /** Only those that carry all of these. */
  labels?: Labels;
}

/** The first sandbox of an image may wait for its template to boot, minutes where the host emulates. */
const createTimeoutMs = 10 * 60_000;
/** All files of the sandbox are read before the answer. */
const commitTimeoutMs = 15 * 60_000;
/** Azure was seen to take more than four minutes for a stop of a large sandbox. */
const settleTimeoutMs = 15 * 60_000;

const stoppedStates = new Set(["stopped", "suspended", "idle"]);
const failedStates = new Set(["failed", "deleting", "stopfailed"]);

/** Sandboxes of one group. */
export class SandboxesApi {
  readonly #http: HttpClient;
  readonly #path: string;
  readonly #creations: Slots;

  /** `creations` is shared by all groups of a connection. */
  constructor(http: HttpClient, groupPath: string, creations: Slots) {
    this.#http = http;
    this.#creations = creations;
    this.#path = `${groupPath}/sandboxes`;
  }

  /**
   * Resolves when the sandbox runs. Not repeated once the service may have begun: after `HostUnavailable` a sandbox may
   * be there, to be found by its labels. Waits for its turn where many are created at once (`HttpOptions.creations`).
   */
  async create(content: CreateSandboxContent, { signal }: CallOptions = {}): Promise<SandboxView> {
    requireValid(content);
    return this.#creations.run(() => this.#create(content, signal), signal);
  }

  async #create(content: CreateSandboxContent, signal: AbortSignal | undefined): Promise<SandboxView> {
    const { createMethod: method, vnetConnectionKey } = this.#http.plane.dialect;
    const { vnetConnectionName, ...common } = content;
    const view = await this.#http.json(sandboxView, {
      method,
      path: this.#path,
      json: { ...common, [vnetConnectionKey]: vnetConnectionName },
      action: "create a sandbox",
      repeatable: false,
      timeoutMs: createTimeoutMs,
      signal,
    });
    return this.#waitFor(view, "running", createTimeoutMs, signal);
  }

  get(id: string, { signal }: CallOptions = {}): Promise<SandboxView> {
    return this.#http.json(sandboxView, { method: "GET", path: this.path(id), action: `read sandbox "${id}"`, signal });
  }

  /** As the pages come; stopped sandboxes too. */
  async *each({ labels, signal }: ListSandboxesOptions = {}): AsyncGenerator<SandboxView> {
    const selector = labels && Object.keys(labels).length > 0 ? formatLabelSelector(labels) : undefined;
    const request: HttpRequest = {
      method: "GET",
      path: this.#path,
      query: { labels: selector },
      action: "list sandboxes",
      signal,
    };
    for await (const view of eachOf(this.#http, sandboxPage, request)) {
      // Asked for on the server where the query can say it; checked here in any case.
      if (!labels || matchesLabels(view.labels, labels)) yield view;
    }
  }

  list(options: ListSandboxesOptions = {}): Promise<SandboxView[]> {
    return allOf(this.each(options));
  }

  /** Replaces the labels. Self-hosted only; repeatable. */
  update(id: string, content: UpdateSandboxContent, { signal }: CallOptions = {}): Promise<SandboxView> {
    const action = `update sandbox "${id}"`;
    const request = { method: "PATCH", path: this.path(id), json: content, action, signal, repeatable: true } as const;
    return this.#http.json(sandboxView, request);
  }

  /** Succeeds also when it was not there. */
  async delete(id: string, { signal }: CallOptions = {}): Promise<void> {
    const action = `delete sandbox "${id}"`;
    try {
      const status = await this.#http.status({ method: "DELETE", path: this.path(id), action, signal });
      if (status !== 202) return;
      await poll(() => this.get(id, { signal }).then(() => undefined), {
        signal,
        timeoutMs: settleTimeoutMs,
        what: `sandbox "${id}" to be deleted`,
      });
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }

  /** Suspends: processes and memory stay. Rejects with `NotRunning` when it is stopped already. */
  async stop(id: string, { signal }: CallOptions = {}): Promise<SandboxView> {
    const request = { method: "POST", path: `${this.path(id)}/stop`, action: `stop sandbox "${id}"` } as const;
    await this.#http.status({ ...request, timeoutMs: settleTimeoutMs, signal });
    return this.#waitFor(await this.get(id, { signal }), "stopped", settleTimeoutMs, signal);
  }

  /** Rejects with `InvalidState` when it runs already. */
  async resume(id: string, { signal }: CallOptions = {}): Promise<SandboxView> {
    const action = `resume sandbox "${id}"`;
    const request = { method: "POST", path: `${this.path(id)}/resume`, action } as const;
    await this.#http.status({ ...request, timeoutMs: settleTimeoutMs, signal });
    return this.#waitFor(await this.get(id, { signal }), "running", settleTimeoutMs, signal);
  }

  /** Makes a disk image of its files, image configuration included; see `DiskImagesApi.waitUntilReady`. */
  commit(id: string, content: CreateSnapshotContent = {}, { signal }: CallOptions = {}): Promise<DiskImageView> {
    const action = `commit sandbox "${id}"`;
    const path = `${this.path(id)}/commit`;
    const timeoutMs = commitTimeoutMs;
    return this.#http.json(commitResult, { method: "POST", path, json: content, action, timeoutMs, signal });
  }

  /** Changes what is given of its lifecycle and keeps the rest. Repeatable. */
  async setLifecycle(id: string, policy: LifecyclePolicy, { signal }: CallOptions = {}): Promise<SandboxView> {
    const action = `set the lifecycle of sandbox "${id}"`;
    const request = { method: "POST", path: `${this.path(id)}/lifecycle`, json: policy, action, signal } as const;
    await this.#http.status({ ...request, repeatable: true });
    return this.get(id, { signal });
  }

  /** Replaces what may leave it, also a policy that it had by name. Repeatable. */
  async setEgressPolicy(id: string, policy: EgressPolicyContent, { signal }: CallOptions = {}): Promise<void> {
    const action = `set the egress policy of sandbox "${id}"`;
    const request = { method: "POST", path: `${this.path(id)}/egresspolicy`, json: policy, action, signal } as const;
    await this.#http.status({ ...request, repeatable: true });
  }

  /** What of its requests was let out lately, and what was not; oldest first. */
  egressDecisions(id: string, { signal }: CallOptions = {}): Promise<EgressDecisionsView> {
    const action = `read what left sandbox "${id}"`;
    const noun = this.#http.plane.dialect.egressDecisions;
    const request = { method: "GET", path: `${this.path(id)}/${noun}`, action, signal } as const;
    return this.#http.json(egressDecisionsView, request);
  }

  /** Gives a running sandbox one more volume; nothing takes it away again. Not repeatable: `Invalid` when it has it. */
  async addVolume(id: string, volumeMount: SandboxVolume, { signal }: CallOptions = {}): Promise<void> {
    const action = `mount volume "${volumeMount.volumeName}" in sandbox "${id}"`;
    const request = { method: "POST", path: `${this.path(id)}/volumes/add`, json: { volumeMount }, action } as const;
    await this.#http.status({ ...request, signal });
  }

  ports(id: string): PortsApi {
    return new PortsApi(this.#http, this.path(id));
  }

  /** What its machine uses, as the guest says. Rejects with `NotRunning` when it is stopped. */
  stats(id: string, { signal }: CallOptions = {}): Promise<SandboxStatsView> {
    const action = `read the statistics of sandbox "${id}"`;
    return this.#http.json(sandboxStatsView, { method: "GET", path: `${this.path(id)}/stats`, action, signal });
  }

  /** Runs a program to its end; see `executeCommand`. */
  exec(id: string, content: ExecuteCommandContent, options: CallOptions = {}): Promise<ExecResultView> {
    return executeCommand(this.#http, this.path(id), content, options);
  }

  execShell(id: string, content: ExecuteShellCommandContent, options: CallOptions = {}): Promise<ExecResultView> {
    return executeShellCommand(this.#http, this.path(id), content, options);
  }

  /** Runs a program whose streams flow while it runs. */
  stream(id: string, start: ExecStart, options: OpenExecOptions = {}): Promise<ExecStream> {
    return openExecStream(this.#http, this.path(id), start, options);
  }

  /** Programs that need nobody who listens. */
  background(id: string): BackgroundApi {
    return new BackgroundApi(this.#http, this.path(id));
  }

  /** Path of one sandbox, for what lies below it. */
  path(id: string): string {
    return `${this.#path}/${encodeURIComponent(id)}`;
  }

  async #waitFor(
    first: SandboxView,
    target: "running" | "stopped",
    timeoutMs: number,
    signal?: AbortSignal,
  ): Promise<SandboxView> {
    let latest: SandboxView | undefined = first;
    const ask = async () => {
      latest ??= await this.get(first.id, { signal }).catch(notYet);
      const state = latest?.state.toLowerCase();
      if (latest && (state === target || (target === "stopped" && stoppedStates.has(state ?? "")))) return latest;
      if (latest && failedStates.has(state ?? "")) {
        throw new SandboxesError("InvalidState", `Sandbox "${first.id}" should be ${target}: it is ${latest.state}`);
      }
      latest = undefined;
      return undefined;
    };
    return poll(ask, { signal, timeoutMs, what: `sandbox "${first.id}" to be ${target}` });
  }
}

/** Azure may not show a sandbox yet that it has just created. */
function notYet(error: unknown): undefined {
  if (!isMissing(error)) throw error;
}

/** Says the field of a wrong value, which not every version of the service does. */
function requireValid(content: CreateSandboxContent): void {
  const issue = createSandboxContent.safeParse(content).error?.issues[0];
  if (!issue) return;
  const field = issue.path.join(".");
  throw new SandboxesError("Invalid", `Cannot create a sandbox: ${field}: ${issue.message}`, { field });
}
