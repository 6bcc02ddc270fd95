import type { IncomingMessage, Server, ServerResponse } from "node:http";
import { createServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import type { Faults } from "./faults";
import { type PlaneName, renderError, WireError, type WireReply, type WireRequest } from "./wire";

export type Handler = (request: WireRequest) => Promise<WireReply> | WireReply;
export type UpgradeHandler = (request: WireRequest, incoming: IncomingMessage, socket: Duplex, head: Buffer) => void;

/** One HTTPS address of the double, where faults happen. */
export class Listener {
  readonly #server: Server;
  readonly #plane: PlaneName;
  readonly #sockets = new Set<Socket>();

  constructor(
    plane: PlaneName,
    tls: { key: string; cert: string },
    faults: Faults,
    log: WireRequest[],
    handle: Handler,
    upgrade?: UpgradeHandler,
  ) {
    this.#plane = plane;
    this.#server = createServer(tls, (incoming, response) => {
      this.#serve(incoming, response, faults, log, handle).catch(() => response.destroy());
    });
    this.#server.on("secureConnection", (socket: Socket) => {
      this.#sockets.add(socket);
      socket.once("close", () => this.#sockets.delete(socket));
      socket.on("error", () => socket.destroy());
    });
    this.#server.on("upgrade", (incoming, socket, head) => {
      const request = this.#read(incoming, Buffer.alloc(0));
      log.push(request);
      if (upgrade) upgrade(request, incoming, socket, head);
      else socket.destroy();
    });
  }

  async listen(): Promise<string> {
    await new Promise<void>((resolve) => this.#server.listen(0, "127.0.0.1", resolve));
    return `https://127.0.0.1:${(this.#server.address() as AddressInfo).port}`;
  }

  async close(): Promise<void> {
    for (const socket of this.#sockets) socket.destroy();
    await new Promise((resolve) => this.#server.close(resolve));
  }

  #read(incoming: IncomingMessage, body: Buffer): WireRequest {
    const url = new URL(incoming.url ?? "/", "https://double");
    return {
      plane: this.#plane,
      method: incoming.method ?? "",
      path: url.pathname,
      query: url.searchParams,
      headers: incoming.headers,
      body,
      apiVersion: url.searchParams.get("api-version") ?? "",
    };
  }

  async #serve(
    incoming: IncomingMessage,
    response: ServerResponse,
    faults: Faults,
    log: WireRequest[],
    handle: Handler,
  ): Promise<void> {
    const chunks: Buffer[] = [];
    for await (const chunk of incoming) chunks.push(chunk);
    const request = this.#read(incoming, Buffer.concat(chunks));
    log.push(request);
    const fault = faults.take(request);
    if (fault === "reset") return void response.socket?.destroy();
    if (typeof fault === "object" && "delayMs" in fault) await new Promise((done) => setTimeout(done, fault.delayMs));
    const reply =
      typeof fault === "object" && "answer" in fault
        ? fault.answer
        : await Promise.resolve(request)
            .then(handle)
            .catch((error) => {
              if (error instanceof WireError) return renderError(request, error);
              return renderError(request, new WireError(500, "InternalServerError", String(error?.stack ?? error)));
            });
    const raw = serialize(reply);
    const { socket } = response;
    if (typeof fault === "object" && "cutAt" in fault) {
      faults.cutLength = raw.length;
      return void socket?.write(raw.subarray(0, fault.cutAt), () => socket.destroy());
    }
    const { status, headers, content } = flatten(reply);
    response.writeHead(status, headers).end(content);
  }
}

function flatten({ status, headers = {}, json, bytes }: WireReply) {
  const content = bytes ?? (json === undefined ? Buffer.alloc(0) : Buffer.from(JSON.stringify(json)));
  const type = bytes ? "application/octet-stream" : json === undefined ? undefined : "application/json; charset=utf-8";
  const all = { ...(type && { "content-type": type }), "content-length": String(content.length), ...headers };
  return { status, headers: all, content };
}

function serialize(reply: WireReply): Buffer {
  const { status, headers, content } = flatten(reply);
  const lines = Object.entries(headers).map(([name, value]) => `${name}: ${value}\r\n`);
  return Buffer.concat([Buffer.from(`HTTP/1.1 ${status} X\r\n${lines.join("")}\r\n`), content]);
}
