import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import type { Duplex } from "node:stream";
import { maxHeaderBytes, renderAnswer } from "../proxy/forward";
import type { GuestConnection, ProxiedGuest, ProxyParts, Tunnel } from "./proxyParts";
import { proxyRequest, proxyUpgrade } from "./proxyRequest";
import { openTunnel } from "./tunnel";

/** A connection on which no request is under way ends after that. */
const idleMs = 60_000;
/** Connections of all sandboxes together; each costs two descriptors. */
const maxConnections = 2048;

export interface EgressProxy {
  /** Takes over a connection that came from the guest. */
  serve(connection: Duplex, guest: ProxiedGuest): void;
  /** Ends tunnels that the guest's policy does not allow any more. */
  recheck(guest: ProxiedGuest): void;
  /** Breaks everything off. */
  close(): void;
}

/** An HTTP proxy (absolute form and CONNECT) on connections from guests; it listens nowhere. */
export function createEgressProxy(
  given: Pick<ProxyParts, "dial" | "authority" | "siteAuthorities" | "failed">,
): EgressProxy {
  const connections = new Map<Duplex, GuestConnection & { idle: NodeJS.Timeout; isBusy: boolean }>();
  const tunnels = new Set<Tunnel>();
  const server: Server = createServer({ maxHeaderSize: maxHeaderBytes, insecureHTTPParser: false });
  server.maxHeadersCount = 200;

  const adopt = (socket: Duplex, connection: GuestConnection): void => {
    if (connections.size >= maxConnections && !connections.has(socket)) {
      socket.end(
        renderAnswer(503, { error: "The host has too many connections open", errorCode: "TooManyConnections" }),
      );
      return;
    }
    const known = connections.get(socket);
    clearTimeout(known?.idle);
    const idle = setTimeout(() => socket.destroy(), idleMs).unref();
    connections.set(socket, { ...connection, idle, isBusy: false });
    if (!known) {
      socket.once("close", () => {
        clearTimeout(connections.get(socket)?.idle);
        connections.delete(socket);
      });
    }
    server.emit("connection", socket);
    socket.resume();
  };
  const parts: ProxyParts = { ...given, tunnels, serveInside: adopt };

  /** One request at a time: a guest that sends hundreds in one go would have as many connections made. */
  const begin = (socket: Duplex): GuestConnection | undefined => {
    const connection = connections.get(socket);
    if (!connection || connection.isBusy) {
      socket.destroy();
      return undefined;
    }
    connection.isBusy = true;
    clearTimeout(connection.idle);
    return connection;
  };

  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const connection = begin(request.socket);
    if (!connection) return;
    response.once("close", () => {
      const state = connections.get(request.socket);
      if (!state) return;
      state.isBusy = false;
      state.idle = setTimeout(() => request.socket.destroy(), idleMs).unref();
    });
    void proxyRequest(parts, connection, request, response);
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const connection = begin(socket);
    if (connection) void proxyUpgrade(parts, connection, request, socket, head);
  });
  server.on("connect", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    const connection = begin(socket);
    if (connection) void openTunnel(parts, connection, request.url ?? "", socket, head);
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
    if (!socket.writable) return void socket.destroy();
    const status = error.code === "HPE_HEADER_OVERFLOW" ? 431 : 400;
    socket.end(renderAnswer(status, { error: "The request is malformed", errorCode: "InvalidRequest" }));
  });

  return {
    serve: (socket, guest) => adopt(socket, { guest }),
    recheck: (guest) => {
      const policy = guest.policy();
      for (const tunnel of tunnels) {
        const { host } = tunnel;
        const mayGoOn = policy.decide({ scheme: "https", host }).allowed && !policy.inspects(host);
        if (tunnel.guest === guest && !mayGoOn) tunnel.close();
      }
    },
    close: () => {
      for (const socket of connections.keys()) socket.destroy();
    },
  };
}
