import { isMissing } from "./failures";
import type { CallOptions, HttpClient } from "./http";
import { type CreatePort, type PortView, portsView } from "./wire/ports";

/** Ports of one sandbox. */
export class PortsApi {
  readonly #http: HttpClient;
  readonly #path: string;

  constructor(http: HttpClient, sandboxPath: string) {
    this.#http = http;
    this.#path = `${sandboxPath}/ports`;
  }

  async list({ signal }: CallOptions = {}): Promise<PortView[]> {
    const request = { method: "GET", path: this.#path, action: "read a sandbox's ports", signal } as const;
    return (await this.#http.json(portsView, request)).ports;
  }

  /** Answers all ports. Rejects with `Conflict` when the number is there already. */
  async add(port: CreatePort, { signal }: CallOptions = {}): Promise<PortView[]> {
    const action = `open port ${port.port}`;
    const request = { method: "POST", path: `${this.#path}/add`, json: port, action, signal } as const;
    return (await this.#http.json(portsView, request)).ports;
  }

  /** Succeeds also when it was not there. */
  async remove(port: number, { signal }: CallOptions = {}): Promise<void> {
    const request = { method: "POST", path: `${this.#path}/remove`, action: `close port ${port}` } as const;
    try {
      await this.#http.status({ ...request, json: { port }, repeatable: true, signal });
    } catch (error) {
      if (!isMissing(error)) throw error;
    }
  }
}
