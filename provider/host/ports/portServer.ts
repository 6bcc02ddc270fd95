import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Server as NetServer, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { forward, forwardUpgrade, maxHeaderBytes, type Outgoing, renderAnswer } from "../proxy/forward";
import { endToEnd, withHeader, without } from "../proxy/headers";
import type { PortRecord } from "../store/sandboxStore";
import { isPreflight, preflightHeaders, withCors } from "./cors";
import { createHttp2Port } from "./http2Port";
import {
  abortOn,
  answerWithinMs,
  checkAccess,
  idleMs,
  type PortServerOptions,
  refusalOf,
  refuse,
  withoutToken,
} from "./portAccess";

/** Connections to one port of one sandbox; more wait in the kernel or are refused. */
const maxConnections = 256;
/** For a whole request to come in: large uploads over slow lines. */
const requestWithinMs = 60 * 60_000;
const headWithinMs = 30_000;

export interface PortServer {
  readonly hostPort: number;
  readonly protocol: PortRecord["protocol"];
  /** Breaks connections off. Repeatable. */
  close(): void;
}

/** Listens for one declared port and forwards HTTP into the sandbox. Rejects when it cannot bind. */
export async function openPortServer(options: PortServerOptions): Promise<PortServer> {
  const protocol = options.protocol ?? "Http";
  const { server, closeAll } = protocol === "Http2" ? createHttp2Port(options) : createHttpPort(options);
  server.maxConnections = maxConnections;
  await listen(server, options.bindHost, options.hostPort);
  return {
    hostPort: (server.address() as AddressInfo).port,
    protocol,
    close: () => {
      server.close();
      closeAll();
    },
  };
}

/** HTTP/1.1 and WebSockets. */
function createHttpPort(options: PortServerOptions): { server: Server; closeAll: () => void } {
  const { tls } = options;
  const limits = { maxHeaderSize: maxHeaderBytes, headersTimeout: headWithinMs, requestTimeout: requestWithinMs };
  const common = { ...limits, keepAlive: true, insecureHTTPParser: false };
  const server = tls ? createTlsServer({ ...tls, ...common, minVersion: "TLSv1.2" }) : createServer(common);
  server.maxHeadersCount = 200;
  /** One request at a time of each connection: of a hundred sent in one go each would wake and connect. */
  const busy = new WeakSet<Socket>();
  server.on("request", (request: IncomingMessage, response: ServerResponse) => {
    const { socket } = request;
    if (busy.has(socket)) return void socket.destroy();
    busy.add(socket);
    response.once("close", () => busy.delete(socket));
    void serve(options, request, response);
  });
  server.on("upgrade", (request: IncomingMessage, socket: Duplex, head: Buffer) => {
    socket.on("error", () => socket.destroy()); // A peer that vanished; there is nobody to tell.
    void serveUpgrade(options, request, socket, head);
  });
  server.on("clientError", (error: NodeJS.ErrnoException, socket: Duplex) => {
    if (!socket.writable || error.code === "ECONNRESET") return void socket.destroy();
    const status = error.code === "HPE_HEADER_OVERFLOW" ? 431 : 400;
    socket.end(renderAnswer(status, { error: "The request is malformed" }));
  });
  return { server, closeAll: () => server.closeAllConnections() };
}

function listen(server: NetServer, host: string, port: number): Promise<void> {
  return new Promise((resolve, reject) => {
    server.once("error", reject);
    server.listen({ host, port, exclusive: true }, () => {
      server.off("error", reject);
      resolve();
    });
  });
}

async function serve(options: PortServerOptions, request: IncomingMessage, response: ServerResponse): Promise<void> {
  const declared = options.declared();
  const gone = abortOn(response);
  try {
    if (declared?.cors && isPreflight(request.method, request.headers)) {
      response.writeHead(204, preflightHeaders(declared.cors, request.headers)).end();
      return;
    }
    const { connection, port } = await admit(options, declared, request, gone);
    const cors = port.cors;
    await forward(request, response, {
      ...outgoing(options, request, port, connection),
      answerHeaders: cors ? (headers) => withCors(cors, headers, request.headers.origin) : undefined,
    });
  } catch (error) {
    const { status, body, headers = [] } = refusalOf(options, error);
    if (response.headersSent || gone.aborted) return void response.destroy();
    const shown = declared?.cors ? withCors(declared.cors, headers, request.headers.origin) : headers;
    const content = Buffer.from(JSON.stringify(body));
    const all = [...shown, "Content-Type", "application/json", "Content-Length", String(content.length)];
    // What of the request was not read would be taken for the next one.
    response.writeHead(status, request.complete ? all : [...all, "Connection", "close"]).end(content);
  }
}

async function serveUpgrade(
  options: PortServerOptions,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  try {
    if (request.headers.upgrade?.toLowerCase() !== "websocket") {
      throw refuse({ status: 501, body: { error: "Only WebSockets are forwarded", errorCode: "UpgradeNotSupported" } });
    }
    const { connection, port } = await admit(options, options.declared(), request, abortOn(socket));
    await forwardUpgrade(socket, head, { ...outgoing(options, request, port, connection), idleMs });
  } catch (error) {
    const { status, body, headers } = refusalOf(options, error);
    if (socket.writable) socket.end(renderAnswer(status, body, headers));
  }
}

async function admit(
  options: PortServerOptions,
  declared: PortRecord | undefined,
  request: IncomingMessage,
  signal: AbortSignal,
): Promise<{ connection: Duplex; port: PortRecord }> {
  const { headers, socket } = request;
  const port = checkAccess(options, declared, { address: socket.remoteAddress, headers });
  return { connection: await options.connect(port.activationMode === "OnDemand", signal), port };
}

function outgoing(
  options: PortServerOptions,
  request: IncomingMessage,
  port: PortRecord,
  connection: Duplex,
): Outgoing {
  const own = without(endToEnd(request.rawHeaders), (name) => name === "expect" || /^(x-)?forwarded/.test(name));
  let headers = withoutToken(options, port, own, request.headers.authorization);
  headers = withHeader(headers, "X-Forwarded-For", (request.socket as Socket).remoteAddress ?? "unknown");
  headers = withHeader(headers, "X-Forwarded-Proto", options.tls ? "https" : "http");
  headers = withHeader(headers, "X-Forwarded-Host", request.headers.host ?? "");
  return { connection, method: request.method ?? "GET", path: originForm(request.url), headers, answerWithinMs };
}

/** `GET http://host/path` is legal towards an origin, too. */
function originForm(url = "/"): string {
  return url.startsWith("/") || url === "*"
    ? url
    : (/^https?:\/\/[^/?#]*(.*)$/i.exec(url)?.[1] || "/").replace(/^(?!\/)/, "/");
}
