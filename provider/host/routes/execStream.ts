import { type IncomingMessage, ServerResponse } from "node:http";
import type { Socket } from "node:net";
import type { FastifyInstance } from "fastify";
import { WebSocketServer } from "ws";
import { SandboxesError } from "../../client/errors";
import type { RouteContext } from "./context";
import { serveExecStream } from "./execSession";
import { dataPlaneGroup, groupAndIdOf, query } from "./request";

/** One frame; base64 of stdin comes in pieces. */
const maxPayload = 16 * 2 ** 20;

interface Upgrade {
  socket: Socket;
  head: Buffer;
}

/**
 * Azure's streaming exec. fastify routes no upgrades, so an upgrade runs through it as a plain GET of its address: all
 * checks, refusals and log lines are the usual ones, and only what passes them becomes a WebSocket.
 */
export function execStreamRoutes(app: FastifyInstance, context: RouteContext): void {
  const server = new WebSocketServer({ noServer: true, maxPayload, perMessageDeflate: false });
  const upgrades = new WeakMap<IncomingMessage, Upgrade>();

  app.server.on("upgrade", (raw: IncomingMessage, socket: Socket, head: Buffer) => {
    upgrades.set(raw, { socket, head });
    socket.on("error", () => socket.destroy()); // A peer that vanished; there is nobody to tell.
    const response = new ServerResponse(raw);
    response.assignSocket(socket);
    response.shouldKeepAlive = false;
    response.once("finish", () => socket.end());
    app.routing(raw, response);
  });

  app.get(`${dataPlaneGroup}/sandboxes/:id/exec/stream`, async (request, reply) => {
    const [group, id] = groupAndIdOf(context, request);
    const upgrade = upgrades.get(request.raw);
    if (!upgrade) {
      throw new SandboxesError("Invalid", "This address takes WebSockets only", { status: 426 });
    }
    await context.sandboxes.running(group, id);
    reply.hijack();
    reply.raw.removeAllListeners("finish");
    reply.raw.detachSocket(upgrade.socket);
    server.handleUpgrade(request.raw, upgrade.socket, upgrade.head, (connection) => {
      void serveExecStream(context, connection, { group, id, user: query(request).user });
    });
  });

  app.addHook("preClose", async () => {
    for (const connection of server.clients) connection.terminate();
  });
}
