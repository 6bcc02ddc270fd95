import type { Agent } from "undici";
import { type Connection, groupDataPath } from "../../../provider/client/connection";
import { agentFor, HttpClient, type HttpRequest } from "../../../provider/client/http";
import { openPlanes } from "../../../provider/client/planes";
import { secretPeekView } from "../../../provider/client/wire/secrets";
import { volumePage } from "../../../provider/client/wire/volumes";

/** What the client has no method for: volumes, and the values of secrets. */
export class GroupRest {
  readonly #http: HttpClient;
  readonly #agent: Agent;
  readonly #path: string;

  constructor(connection: Connection, group: string) {
    this.#agent = agentFor(connection);
    const plane = openPlanes(connection, {}, async () => connection.endpoint).data(group);
    this.#http = new HttpClient(connection, plane, this.#agent);
    this.#path = groupDataPath(connection, group);
  }

  putVolume(name: string, json: { type: string; size?: string }, signal?: AbortSignal): Promise<number> {
    return this.#status("PUT", `volumes/${name}`, { json, signal });
  }

  deleteVolume(name: string, signal?: AbortSignal): Promise<number> {
    return this.#status("DELETE", `volumes/${name}`, { signal });
  }

  async volumes(): Promise<string[]> {
    const request = { method: "GET", path: `${this.#path}/volumes`, action: "list volumes" } as const;
    return (await this.#http.json(volumePage, request)).value.map(({ volumeName }) => volumeName);
  }

  async peekSecret(id: string): Promise<Record<string, string>> {
    const path = `${this.#path}/secrets/${id}/peek`;
    return (await this.#http.json(secretPeekView, { method: "POST", path, action: "read a secret" })).values;
  }

  close(): Promise<void> {
    return this.#agent.close();
  }

  #status(method: "PUT" | "DELETE", path: string, more: Pick<HttpRequest, "json" | "signal">): Promise<number> {
    return this.#http.status({ method, path: `${this.#path}/${path}`, action: `${method} ${path}`, ...more });
  }
}
