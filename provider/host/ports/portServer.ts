import { createServer, type IncomingMessage, type Server, type ServerResponse } from "node:http";
import { createServer as createTlsServer } from "node:https";
import type { AddressInfo, Socket } from "node:net";
import type { Duplex } from "node:stream";
import { isSandboxesError, SandboxesError } from "../../client/errors";
import { forward, forwardUpgrade, maxHeaderBytes, type Outgoing, renderAnswer } from "../proxy/forward";
import { endToEnd, withHeader, without } from "../proxy/headers";
import type { PortRecord } from "../store/sandboxStore";
import { allowsAddress, carriesToken } from "./access";
import { isPreflight, preflightHeaders, withCors } from "./cors";

/** Connections to one port of one sandbox; more wait in the kernel or are refused. */
const maxConnections = 256;
/** A program may think for that long before it answers. */
const answerWithinMs = 5 * 60_000;
/** A WebSocket on which nothing moves. */
const idleMs = 60 * 60_000;
/** For a whole request to come in: large uploads over slow lines. */
const requestWithinMs = 60 * 60_000;
const headWithinMs = 30_000;

export interface PortServerOptions {
  bindHost: string;
  /** 0: any that is free. */
  hostPort: number;
  tls?: { cert: string; key: string };
  /** The host's own token. */
  token: string | undefined;
  /** The port as declared now; undefined when it is gone. */
  declared(): PortRecord | undefined;
  /** A connection to the program; rejects with `NotRunning`, or with `Conflict` when nothing listens. */
  connect(onDemand: boolean, signal: AbortSignal): Promise<Duplex>;
  /** Tells of faults of the host. */
  failed(error: unknown): void;
}

export interface PortServer {
  readonly hostPort: number;
  /** Breaks connections off. Repeatable. */
  close(): void;
}

interface Refusal {
  status: number;
  body: object;
  headers?: string[];
}

/** Listens for one declared port and forwards HTTP/1.1 and WebSockets into the sandbox. Rejects when it cannot bind. */
export async function openPortServer(options: PortServerOptions): Promise<PortServer> {
  const { bindHost, hostPort, tls } = options;
  const limits = { maxHeaderSize: maxHeaderBytes, headersTimeout: headWithinMs, requestTimeout: requestWithinMs };
  const common = { ...limits, keepAlive: true, insecureHTTPParser: false };
  const server = tls ? createTlsServer({ ...tls, ...common, minVersion: "TLSv1.2" }) : createServer(common);
  server.maxConnections = maxConnections;
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
  await listen(server, bindHost, hostPort);
  return {
    hostPort: (server.address() as AddressInfo).port,
    close: () => {
      server.close();
      server.closeAllConnections();
    },
  };
}

function listen(server: Server, host: string, port: number): Promise<void> {
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

/** Checks in this order, so that a caller who may not in neither learns of the sandbox nor wakes it. */
async function admit(
  { token, connect }: PortServerOptions,
  port: PortRecord | undefined,
  request: IncomingMessage,
  signal: AbortSignal,
): Promise<{ connection: Duplex; port: PortRecord }> {
  if (!port) throw refuse({ status: 404, body: { error: "There is no such port", errorCode: "PortNotFound" } });
  if (!allowsAddress(port.ipAccessControl, request.socket.remoteAddress)) {
    const error = "Access denied by IP access control policy";
    throw refuse({ status: 403, body: { error, errorCode: "IpAccessDenied" } });
  }
  if (port.auth.anonymous !== true && !(token && carriesToken(request.headers.authorization, token))) {
    throw refuse({
      status: 401,
      body: { error: "Unauthorized", message: "Authentication required" },
      headers: ["WWW-Authenticate", 'Bearer realm="sandboxes"'],
    });
  }
  return { connection: await connect(port.activationMode === "OnDemand", signal), port };
}

function outgoing(
  { token, tls }: PortServerOptions,
  request: IncomingMessage,
  port: PortRecord,
  connection: Duplex,
): Outgoing {
  let headers = without(endToEnd(request.rawHeaders), (name) => name === "expect" || /^(x-)?forwarded/.test(name));
  // The token is good for the whole host: the code in the sandbox must never see it.
  const carries = token !== undefined && carriesToken(request.headers.authorization, token);
  if (port.auth.anonymous !== true || carries) headers = without(headers, (name) => name === "authorization");
  headers = withHeader(headers, "X-Forwarded-For", (request.socket as Socket).remoteAddress ?? "unknown");
  headers = withHeader(headers, "X-Forwarded-Proto", tls ? "https" : "http");
  headers = withHeader(headers, "X-Forwarded-Host", request.headers.host ?? "");
  return { connection, method: request.method ?? "GET", path: originForm(request.url), headers, answerWithinMs };
}

/** `GET http://host/path` is legal towards an origin, too. */
function originForm(url = "/"): string {
  return url.startsWith("/") || url === "*"
    ? url
    : (/^https?:\/\/[^/?#]*(.*)$/i.exec(url)?.[1] || "/").replace(/^(?!\/)/, "/");
}

/** Aborts when the caller has left. */
function abortOn(stream: Duplex | ServerResponse): AbortSignal {
  const controller = new AbortController();
  stream.once("close", () => controller.abort());
  return controller.signal;
}

/** Carries an answer as an error; never leaves this file. */
class Refused extends SandboxesError {
  readonly refusal: Refusal;

  constructor(refusal: Refusal) {
    super("Forbidden", "refused", { status: refusal.status });
    this.refusal = refusal;
  }
}

function refuse(refusal: Refusal): Refused {
  return new Refused(refusal);
}

/** Azure's words for a sandbox that sleeps. */
function refusalOf({ failed }: PortServerOptions, error: unknown): Refusal {
  if (error instanceof Refused) return error.refusal;
  if (isSandboxesError(error)) {
    if (error.code === "NotRunning" || error.code === "InvalidState") {
      return { status: 403, body: { error: "Sandbox is not running", errorCode: "SandboxNotRunning" } };
    }
    if (error.code === "SandboxNotFound") return { status: 404, body: { error: "Sandbox not found" } };
    if (error.code === "Conflict") {
      return { status: 502, body: { error: "Nothing listens on that port", errorCode: "PortNotListening" } };
    }
    if (error.code === "Timeout") return { status: 504, body: { error: "The sandbox did not answer in time" } };
    const isBusy = error.code === "CapacityExceeded";
    return { status: isBusy ? 503 : 502, body: { error: "The sandbox did not answer", errorCode: error.serviceCode } };
  }
  failed(error);
  return { status: 502, body: { error: "The host failed unexpectedly" } };
}
