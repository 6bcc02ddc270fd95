import { isMissing } from "./failures";
import type { CallOptions, HttpClient } from "./http";
import { followOperation } from "./operation";
import { poll } from "./poll";
import { provisioned } from "./provisioning";
import { type VnetConnectionView, vnetConnectionView } from "./wire/vnetConnections";

const settleTimeoutMs = 15 * 60_000;

/** Connections of one group to subnets of Azure (the control plane). */
export class VnetConnectionsApi {
  readonly #http: HttpClient;
  readonly #path: string;

  /** `groupPath` is the group's path on the control plane. */
  constructor(http: HttpClient, groupPath: string) {
    this.#http = http;
    this.#path = `${groupPath}/vnetConnections`;
  }

  /** Creates; resolves when it is usable. Rejects with `Conflict` when it exists with another subnet. Repeatable. */
  async put(name: string, subnetId: string, { signal }: CallOptions = {}): Promise<VnetConnectionView> {
    const action = `create VNet connection "${name}"`;
    const json = { properties: { subnetId } };
    const answer = await this.#http.answer({ method: "PUT", path: this.#one(name), json, action, signal });
    return provisioned<VnetConnectionView>(this.#http, answer, {
      ...{ action, signal, timeoutMs: settleTimeoutMs, what: `VNet connection "${name}"` },
      parse: (body) => vnetConnectionView.safeParse(body).data,
      read: () => this.get(name, { signal }),
    });
  }

  get(name: string, { signal }: CallOptions = {}): Promise<VnetConnectionView> {
    const action = `read VNet connection "${name}"`;
    return this.#http.json(vnetConnectionView, { method: "GET", path: this.#one(name), action, signal });
  }

  /** Resolves when it is gone, also when it was not there. */
  async delete(name: string, { signal }: CallOptions = {}): Promise<void> {
    const action = `delete VNet connection "${name}"`;
    const options = { signal, timeoutMs: settleTimeoutMs };
    try {
      const answer = await this.#http.answer({ method: "DELETE", path: this.#one(name), action, signal });
      if (answer.status !== 202) return;
      await followOperation(this.#http, answer, { ...options, action });
      const what = `VNet connection "${name}" to be deleted`;
      await poll(() => this.get(name, { signal }).then(() => undefined), { ...options, what });
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }

  #one(name: string): string {
    return `${this.#path}/${encodeURIComponent(name)}`;
  }
}
