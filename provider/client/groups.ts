import { groupsPath } from "./connection";
import { SandboxesError } from "./errors";
import { isMissing } from "./failures";
import type { CallOptions, HttpClient } from "./http";
import { allOf, eachOf } from "./pages";
import { poll } from "./poll";
import { type GroupPatch, type GroupPut, type GroupView, groupPage, groupView } from "./wire/groups";

/** Azure was seen to take ten minutes for the deletion of a group. */
const settleTimeoutMs = 15 * 60_000;

/** Sandbox groups of one resource group (the control plane). */
export class GroupsApi {
  readonly #http: HttpClient;

  constructor(http: HttpClient) {
    this.#http = http;
  }

  /** Creates or replaces; resolves when the service has finished. Repeatable. */
  async put(name: string, content: GroupPut, { signal }: CallOptions = {}): Promise<GroupView> {
    const action = `create sandbox group "${name}"`;
    const path = this.#path(name);
    const view = await this.#http.json(groupView, { method: "PUT", path, json: content, action, signal });
    return this.#settled(name, view, signal);
  }

  async get(name: string, { signal }: CallOptions = {}): Promise<GroupView> {
    const action = `read sandbox group "${name}"`;
    return this.#http.json(groupView, { method: "GET", path: this.#path(name), action, signal });
  }

  /** Merges; `tags` replaces the whole map. */
  async patch(name: string, content: GroupPatch, { signal }: CallOptions = {}): Promise<GroupView> {
    const action = `update sandbox group "${name}"`;
    const path = this.#path(name);
    // Setting values is repeatable, though PATCH in general is not.
    const request = { method: "PATCH", path, json: content, action, signal, repeatable: true } as const;
    return this.#settled(name, await this.#http.json(groupView, request), signal);
  }

  /** Removes the group and everything in it; resolves when it is gone, also when it was not there. */
  async delete(name: string, { signal }: CallOptions = {}): Promise<void> {
    const action = `delete sandbox group "${name}"`;
    try {
      const status = await this.#http.status({ method: "DELETE", path: this.#path(name), action, signal });
      if (status !== 202) return;
      await poll(() => this.get(name, { signal }).then(() => undefined), {
        signal,
        timeoutMs: settleTimeoutMs,
        what: `sandbox group "${name}" to be deleted`,
      });
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }

  async list({ signal }: CallOptions = {}): Promise<GroupView[]> {
    const { connection } = this.#http;
    const request = { method: "GET", path: groupsPath(connection), action: "list sandbox groups", signal } as const;
    return allOf(eachOf(this.#http, groupPage, request));
  }

  async #settled(name: string, view: GroupView, signal?: AbortSignal): Promise<GroupView> {
    const what = `sandbox group "${name}" to be provisioned`;
    let latest: GroupView | undefined = view;
    const ask = async () => {
      latest ??= await this.get(name, { signal });
      const { provisioningState: state = "Succeeded" } = latest.properties;
      if (state === "Succeeded") return latest;
      if (state === "Failed" || state === "Canceled") {
        throw new SandboxesError("Internal", `Cannot provision sandbox group "${name}": the service says ${state}`);
      }
      latest = undefined;
      return undefined;
    };
    return poll(ask, { signal, timeoutMs: settleTimeoutMs, what });
  }

  #path(name: string): string {
    return `${groupsPath(this.#http.connection)}/${encodeURIComponent(name)}`;
  }
}
