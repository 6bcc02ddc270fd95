import { groupsPath } from "./connection";
import { SandboxesError } from "./errors";
import { isMissing } from "./failures";
import type { CallOptions, FullAnswer, HttpClient } from "./http";
import { followOperation } from "./operation";
import { allOf, eachLinked } from "./pages";
import { poll } from "./poll";
import { provisioned } from "./provisioning";
import { RoleAssignmentsApi } from "./roleAssignments";
import { VnetConnectionsApi } from "./vnetConnections";
import { type GroupPatch, type GroupPut, type GroupView, groupPage, groupView } from "./wire/groups";
import { environmentVersion } from "./wire/versions";

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
    const { environmentId } = content.properties ?? {};
    const json = { ...content, properties: this.#isAzure ? plainProperties(content.properties) : content.properties };
    const answer = await this.#http.answer({ method: "PUT", path: this.#path(name), json, action, signal });
    const view = await this.#settled(name, answer, action, signal);
    // The version that knows environments drops the identity of a group that is put: so it is added to what is there.
    if (!environmentId || !this.#isAzure) return view;
    return this.patch(name, { properties: { environmentId } }, { signal });
  }

  async get(name: string, { signal }: CallOptions = {}): Promise<GroupView> {
    const action = `read sandbox group "${name}"`;
    return this.#http.json(groupView, { method: "GET", path: this.#path(name), action, signal });
  }

  /** The managed environment that it is linked to, which only a newer version tells. */
  async environment(name: string, { signal }: CallOptions = {}): Promise<GroupEnvironment> {
    const query = { "api-version": this.#isAzure ? environmentVersion : undefined };
    const action = `read the environment of sandbox group "${name}"`;
    const request = { method: "GET", path: this.#path(name), query, action, signal } as const;
    const { environmentId, defaultDomain } = (await this.#http.json(groupView, request)).properties;
    return { environmentId: environmentId ?? undefined, defaultDomain: defaultDomain ?? undefined };
  }

  /** Merges; `tags` replaces the whole map. */
  async patch(name: string, content: GroupPatch, { signal }: CallOptions = {}): Promise<GroupView> {
    const action = `update sandbox group "${name}"`;
    const path = this.#path(name);
    const { environmentId } = content.properties ?? {};
    if (this.#isAzure && environmentId && content.identity) {
      // No version knows both.
      await this.patch(name, { ...content, properties: undefined }, { signal });
      return this.patch(name, { properties: { environmentId } }, { signal });
    }
    const azures = { ...content, properties: environmentId ? { environmentId } : undefined };
    const query = { "api-version": this.#isAzure && environmentId ? environmentVersion : undefined };
    const json = this.#isAzure ? azures : content;
    // Setting values is repeatable, though PATCH in general is not.
    const request = { method: "PATCH", path, query, json, action, signal, repeatable: true } as const;
    return this.#settled(name, await this.#http.answer(request), action, signal);
  }

  /** Removes the group and everything in it; resolves when it is gone, also when it was not there. */
  async delete(name: string, { signal }: CallOptions = {}): Promise<void> {
    const action = `delete sandbox group "${name}"`;
    const options = { signal, timeoutMs: settleTimeoutMs };
    try {
      const answer = await this.#http.answer({ method: "DELETE", path: this.#path(name), action, signal });
      if (answer.status !== 202) return;
      await followOperation(this.#http, answer, { ...options, action });
      // Also after an operation that says it is done: only what cannot be read any more is gone.
      const what = `sandbox group "${name}" to be deleted`;
      await poll(() => this.get(name, { signal }).then(() => undefined), { ...options, what });
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }

  async list({ signal }: CallOptions = {}): Promise<GroupView[]> {
    const { connection } = this.#http;
    const request = { method: "GET", path: groupsPath(connection), action: "list sandbox groups", signal } as const;
    return allOf(eachLinked(this.#http, groupPage, request));
  }

  /** Azure only: a host refuses with `Unsupported`. */
  vnetConnections(group: string): VnetConnectionsApi {
    return new VnetConnectionsApi(this.#http, this.#path(group));
  }

  /** Azure only. */
  roleAssignments(group: string): RoleAssignmentsApi {
    return new RoleAssignmentsApi(this.#http, group);
  }

  /** Address of a group's data plane, as the group itself tells it; made from its region only where it does not. */
  async dataPlaneEndpoint(name: string, options: CallOptions = {}): Promise<string> {
    const { location, properties } = await this.get(name, options);
    const region = location.toLowerCase().replaceAll(" ", "");
    const endpoint = properties.managementEndpoint ?? `https://management.${region}.azuredevcompute.io`;
    const domain = this.#http.connection.azure?.dataPlaneDomain;
    const url = URL.canParse(endpoint) ? new URL(endpoint) : undefined;
    const trusted = !domain || url?.hostname === domain || url?.hostname.endsWith(`.${domain}`);
    if (url?.protocol === "https:" && !url.username && trusted) return url.href.replace(/\/+$/, "");
    throw new SandboxesError(
      "ServiceFailed",
      `The data plane of sandbox group "${name}" is not at ${domain}: no token is sent there`,
    );
  }

  #settled(name: string, answer: FullAnswer, action: string, signal?: AbortSignal): Promise<GroupView> {
    return provisioned<GroupView>(this.#http, answer, {
      ...{ action, signal, timeoutMs: settleTimeoutMs, what: `sandbox group "${name}"` },
      parse: (body) => groupView.safeParse(body).data,
      read: () => this.get(name, { signal }),
    });
  }

  get #isAzure(): boolean {
    return this.#http.connection.azure !== undefined;
  }

  #path(name: string): string {
    return `${groupsPath(this.#http.connection)}/${encodeURIComponent(name)}`;
  }
}

export interface GroupEnvironment {
  /** ARM id. */
  environmentId: string | undefined;
  /** Parent domain of the addresses of ports. */
  defaultDomain: string | undefined;
}

/** What Azure knows in its usual version; it refuses a body without `properties`, even where it is empty. */
function plainProperties(properties: GroupPut["properties"]): NonNullable<GroupPut["properties"]> {
  const { environmentId, requireHardwareIsolation, ...rest } = properties ?? {};
  return rest;
}
