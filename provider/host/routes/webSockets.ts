import { type IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { FastifyInstance, FastifyRequest } from "fastify";
import { type WebSocket, WebSocketServer } from "ws";
import { SandboxesError } from "../../client/errors";

/** One frame; base64 of stdin comes in pieces. */
const maxPayload = 16 * 2 ** 20;
/** A caller that answers no ping for two of these is gone. */
const pingEveryMs = 20_000;

interface Upgrade {
  socket: Socket;
  head: Buffer;
}

/**
 * Routes of WebSockets. fastify routes no upgrades, so an upgrade runs through it as a plain GET of its address: all
 * checks, refusals and log lines are the usual ones, and only what passes them becomes a WebSocket.
 */
export class WebSockets {
  readonly #app: FastifyInstance;
  readonly #server = new WebSocketServer({ noServer: true, maxPayload, perMessageDeflate: false });
  readonly #upgrades = new WeakMap<IncomingMessage, Upgrade>();

  constructor(app: FastifyInstance) {
    this.#app = app;
    app.server.on("upgrade", (raw: IncomingMessage, socket: Socket, head: Buffer) => {
      this.#upgrades.set(raw, { socket, head });
      socket.on("error", () => socket.destroy()); // A peer that vanished; there is nobody to tell.
      const response = new ServerResponse(raw);
      response.assignSocket(socket);
      response.shouldKeepAlive = false;
      response.once("finish", () => socket.end());
      app.routing(raw, response);
    });
    app.addHook("preClose", async () => {
      for (const connection of this.#server.clients) connection.terminate();
    });
  }

  /** `accept` checks a request, and answers who serves its WebSocket. */
  route(path: string, accept: (request: FastifyRequest) => Promise<(socket: WebSocket) => void>): void {
    this.#app.get(path, async (request, reply) => {
      const upgrade = this.#upgrades.get(request.raw);
      if (!upgrade) throw new SandboxesError("Invalid", "This address takes WebSockets only", { status: 426 });
      const serve = await accept(request);
      reply.hijack();
      reply.raw.removeAllListeners("finish");
      reply.raw.detachSocket(upgrade.socket);
      this.#server.handleUpgrade(request.raw, upgrade.socket, upgrade.head, serve);
    });
  }
}

/** Sends one JSON frame; resolves when it has left for the network. */
export function sendFrame(socket: WebSocket, frame: object): Promise<void> {
  return new Promise((resolve, reject) =>
    socket.send(JSON.stringify(frame), (error) => (error ? reject(error) : resolve())),
  );
}

/** Breaks off with a caller that does not answer any more; the returned function ends watching. */
export function watchPeer(socket: WebSocket): () => void {
  let alive = true;
  socket.on("pong", () => {
    alive = true;
  });
  const timer = setInterval(() => {
    if (!alive) return socket.terminate();
    alive = false;
    socket.ping();
  }, pingEveryMs);
  return () => clearInterval(timer);
}
