import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type { Readable } from "node:stream";
import { Pool } from "undici";
import { createHostServer, type HostServer, type HostServerOptions } from "../../../provider/host/server";
import { openDatabase } from "../../../provider/host/store/database";
import { failureLogs } from "../../failureLogs";
import { Machines } from "./machines";
import { Shelf } from "./shelf";

export const groupPath = "/subscriptions/s1/resourceGroups/local/sandboxGroups/g1";
export const armPath = "/subscriptions/s1/resourceGroups/local/providers/Microsoft.App/sandboxGroups";
export const older = "2026-02-01-preview";
export const newer = "2026-09-01-preview";

export interface Reply {
  status: number;
  headers: Record<string, string | string[] | undefined>;
  // The tests look into replies of every shape.
  // biome-ignore lint/suspicious/noExplicitAny: a reply is compared, not used.
  body: any;
  text: string;
}

interface CallOptions {
  version?: string;
  headers?: Record<string, string>;
  /** Sent as it is. */
  raw?: Buffer | string | Readable;
  signal?: AbortSignal;
}

/** A host over fakes on a real unix socket, and a client that hides nothing. */
export class RunningHost {
  readonly dataDir = mkdtempSync(join(tmpdir(), "host-"));
  readonly socket = join(this.dataDir, "host.sock");
  readonly machines = new Machines();
  readonly shelf = new Shelf();
  readonly log: string[] = [];
  server!: HostServer;
  endpoint = "";
  #client: Pool | undefined;

  async start(change: Partial<HostServerOptions> = {}): Promise<this> {
    failureLogs.set("the host's log", () => this.log.join(""));
    this.server = createHostServer({
      dataDir: this.dataDir,
      database: openDatabase(this.dataDir),
      listen: `unix:${this.socket}`,
      region: "local",
      version: "0.0.0-test",
      driver: this.machines.driver(),
      images: this.shelf,
      log: { write: (line) => void this.log.push(line) },
      ...change,
    });
    this.endpoint = (await this.server.start()).endpoint;
    this.#client = new Pool("http://localhost", { socketPath: this.socket, pipelining: 0 });
    return this;
  }

  async restart(): Promise<void> {
    await this.disconnect();
    await this.server.stop();
    await this.start();
  }

  async call(method: string, path: string, json?: unknown, options: CallOptions = {}): Promise<Reply> {
    const url = `${path}${path.includes("?") ? "&" : "?"}api-version=${options.version ?? older}`;
    const body = options.raw ?? (json === undefined ? undefined : JSON.stringify(json));
    const reply = await this.#client!.request({
      method: method as "GET",
      path: url,
      body,
      headers: { ...(json === undefined ? {} : { "content-type": "application/json" }), ...options.headers },
      signal: options.signal,
    });
    const text = await reply.body.text();
    const isJson = text !== "" && String(reply.headers["content-type"]).includes("json");
    return { status: reply.statusCode, headers: reply.headers, text, body: isJson ? JSON.parse(text) : undefined };
  }

  /** A group `g1`, where most tests live. */
  async withGroup(): Promise<this> {
    await this.call("PUT", `${armPath}/g1`, { location: "local" });
    return this;
  }

  /** Id of a new running sandbox. */
  async sandbox(body: object = {}): Promise<string> {
    const reply = await this.call("PUT", `${groupPath}/sandboxes`, {
      sourcesRef: { diskImage: { name: "ubuntu", isPublic: true } },
      ...body,
    });
    if (reply.status !== 200) throw new Error(`no sandbox: ${reply.text}`);
    return reply.body.id;
  }

  async disconnect(): Promise<void> {
    await this.#client?.destroy();
  }

  async close(): Promise<void> {
    await this.disconnect();
    await this.server?.stop();
    this.machines.close();
    rmSync(this.dataDir, { recursive: true, force: true, maxRetries: 10 });
  }
}
