import { mkdtempSync, rmSync } from "node:fs";
import { createServer, type IncomingMessage, type RequestListener, type Server, type ServerResponse } from "node:http";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { localResourceGroupName, localSubscriptionId } from "../../provider/client/localNames";
import { SandboxApi } from "../../provider/client/sandboxApi";

export interface Received {
  method: string;
  path: string;
  query: URLSearchParams;
  headers: IncomingMessage["headers"];
  body: Buffer;
}

/** Answers one request; the n-th answer goes to the n-th request, the last one to all that follow. */
export type Reply = (response: ServerResponse, request: Received) => void;

/** A real HTTP server on a unix socket that behaves as badly as told. */
export class MisbehavingServer implements AsyncDisposable {
  readonly received: Received[] = [];
  readonly server: Server;
  readonly socketPath: string;
  readonly #directory: string;
  readonly #apis: SandboxApi[] = [];

  private constructor(replies: Reply[], name: string) {
    this.#directory = mkdtempSync(join(tmpdir(), "sandboxes-"));
    this.socketPath = join(this.#directory, name);
    const listener: RequestListener = async (incoming, response) => {
      const chunks: Buffer[] = [];
      for await (const chunk of incoming) chunks.push(chunk);
      const url = new URL(incoming.url ?? "/", "http://localhost");
      const request: Received = {
        method: incoming.method ?? "",
        path: url.pathname,
        query: url.searchParams,
        headers: incoming.headers,
        body: Buffer.concat(chunks),
      };
      const reply = replies[Math.min(this.received.push(request), replies.length) - 1];
      reply?.(response, request);
    };
    this.server = createServer(listener);
  }

  static async start(replies: Reply[], name = "s"): Promise<MisbehavingServer> {
    const instance = new MisbehavingServer(replies, name);
    await new Promise<void>((resolve) => instance.server.listen(instance.socketPath, resolve));
    return instance;
  }

  /** A client of this server that waits only milliseconds between attempts. */
  api(): SandboxApi {
    const connection = {
      endpoint: `unix:${this.socketPath}`,
      subscriptionId: localSubscriptionId,
      resourceGroupName: localResourceGroupName,
    };
    const api = new SandboxApi(connection, { retry: { attempts: 4, budgetMs: 60_000, baseMs: 1, maxMs: 4 } });
    this.#apis.push(api);
    return api;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.server.closeAllConnections();
    await Promise.all(this.#apis.map((api) => api.close()));
    await new Promise((resolve) => this.server.close(resolve));
    rmSync(this.#directory, { recursive: true, force: true });
  }
}

export function json(status: number, body: unknown, headers: Record<string, string> = {}): Reply {
  return (response) => {
    response.writeHead(status, { "content-type": "application/json", ...headers }).end(JSON.stringify(body));
  };
}

export const reset: Reply = (response) => {
  response.socket?.destroy();
};

export const halfAnswer: Reply = (response) => {
  response.writeHead(200, { "content-type": "application/json", "content-length": "1000" });
  response.write('{"id":"a"', () => response.socket?.destroy());
};

export const silence: Reply = () => {};
