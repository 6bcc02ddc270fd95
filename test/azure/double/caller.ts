import { Agent, request } from "undici";
import { type AzureDouble, controlAudience } from "./azureDouble";
import type { PlaneName } from "./wire";

export interface RawReply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  // biome-ignore lint/suspicious/noExplicitAny: a reply is compared, not used.
  body: any;
}

/** Calls the double as plainly as can be, in one version of its data plane. Close it when done. */
export class RawCaller {
  readonly #double: AzureDouble;
  readonly #apiVersion: string;
  readonly #agent: Agent;

  constructor(double: AzureDouble, apiVersion: string) {
    this.#double = double;
    this.#apiVersion = apiVersion;
    this.#agent = new Agent({ connect: { ca: double.ca } });
  }

  /** Below a group of the data plane, `sandboxes`, or of the control plane, `vnetConnections`. */
  async call(plane: PlaneName, method: string, path: string, json?: unknown): Promise<RawReply> {
    const { subscriptionId, resourceGroup, controlEndpoint, dataEndpoint, tokens } = this.#double;
    const isControl = plane === "control";
    const token = tokens.issue(isControl ? controlAudience : "https://dynamicsessions.io");
    const base = `/subscriptions/${subscriptionId}/resourceGroups/${resourceGroup}${isControl ? "/providers/Microsoft.App" : ""}`;
    const version = isControl ? "2026-02-01-preview" : this.#apiVersion;
    const joint = path.includes("?") ? "&" : "?";
    const url = `${isControl ? controlEndpoint : dataEndpoint}${base}/sandboxGroups/${path}${joint}api-version=${version}`;
    const answer = await request(url, {
      method: method as "GET",
      headers: { authorization: `Bearer ${token}`, ...(json !== undefined && { "content-type": "application/json" }) },
      body: json === undefined ? undefined : JSON.stringify(json),
      dispatcher: this.#agent,
    });
    const text = await answer.body.text();
    return { status: answer.statusCode, headers: answer.headers, body: text ? JSON.parse(text) : undefined };
  }

  close(): Promise<void> {
    return this.#agent.close();
  }
}
