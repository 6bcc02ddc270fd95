import {
  type ClientRequest,
  request as httpRequest,
  type IncomingMessage,
  type ServerResponse,
  STATUS_CODES,
} from "node:http";
import type { Duplex } from "node:stream";
import { pipeline } from "node:stream/promises";
import { SandboxesError } from "../../client/errors";
import { endToEnd, type RawHeaders, valuesOf } from "./headers";
import { joinStreams } from "./joinStreams";

/** Of a message's head, whoever sends it. */
export const maxHeaderBytes = 32 * 1024;

/** A request on its way out, over a connection that stands. */
export interface Outgoing {
  connection: Duplex;
  method: string;
  /** Origin form, with the query. */
  path: string;
  /** End-to-end headers, `Host` among them. */
  headers: RawHeaders;
  /** For the head of the answer, ms. */
  answerWithinMs: number;
  /** Last word on the headers of the answer. */
  answerHeaders?: (headers: string[]) => string[];
}

/**
 * Sends `incoming` on and its answer back. Rejects before anything was answered with `Timeout` or `GuestFailed`; what
 * breaks later breaks the answer off. One request per connection, which is closed at the end.
 */
export async function forward(incoming: IncomingMessage, answer: ServerResponse, outgoing: Outgoing): Promise<void> {
  const request = begin(outgoing, framedAs(incoming, outgoing));
  const leave = () => outgoing.connection.destroy();
  answer.once("close", leave);
  try {
    const sent = pipeline(incoming, request).catch(() => undefined); // Its failure shows in the answer.
    const response = await answerOf(request, outgoing);
    if (upgradeOf.has(request)) throw new SandboxesError("GuestFailed", "An upgrade came that nobody had asked for");
    const headers = endToEnd(response.rawHeaders);
    answer.writeHead(
      response.statusCode ?? 502,
      response.statusMessage || undefined,
      (outgoing.answerHeaders?.(headers) ?? headers) as string[],
    );
    answer.flushHeaders();
    // Broken off on purpose: a cut answer must not look like a whole one.
    await pipeline(response, answer).catch(() => answer.destroy());
    // An answer may come before all was sent; then the rest is not wanted.
    request.destroy();
    await sent;
  } finally {
    answer.off("close", leave);
    leave();
  }
}

/** As `forward`, for a request that turns its connection into a WebSocket; a refusal of that is passed on, too. */
export async function forwardUpgrade(
  socket: Duplex,
  head: Buffer,
  outgoing: Outgoing & { idleMs: number },
): Promise<void> {
  const headers = [...outgoing.headers, "Connection", "Upgrade", "Upgrade", "websocket"];
  const request = begin(outgoing, headers);
  request.end();
  const leave = () => outgoing.connection.destroy();
  socket.once("close", leave);
  try {
    const response = await answerOf(request, outgoing);
    const kept = endToEnd(response.rawHeaders);
    const upgraded = upgradeOf.get(request);
    if (!upgraded) {
      socket.write(renderHead(response.statusCode ?? 502, [...kept, "Connection", "close"]));
      await pipeline(response, socket).catch(() => socket.destroy());
      return;
    }
    socket.write(renderHead(101, [...kept, "Connection", "Upgrade", "Upgrade", "websocket"]));
    if (upgraded.length > 0) socket.write(upgraded);
    if (head.length > 0) outgoing.connection.write(head);
    await joinStreams(socket, outgoing.connection, outgoing.idleMs);
  } finally {
    socket.off("close", leave);
    leave();
  }
}

/** A whole answer as bytes, for a connection that no `ServerResponse` stands for; it says that it closes. */
export function renderAnswer(status: number, body: object, headers: RawHeaders = []): Buffer {
  const content = Buffer.from(JSON.stringify(body));
  const length = ["Content-Type", "application/json", "Content-Length", String(content.length)];
  return Buffer.concat([renderHead(status, [...length, ...headers, "Connection", "close"]), content]);
}

function renderHead(status: number, headers: RawHeaders): Buffer {
  const lines = [`HTTP/1.1 ${status} ${STATUS_CODES[status] ?? "Unknown"}`];
  for (let index = 0; index + 1 < headers.length; index += 2) lines.push(`${headers[index]}: ${headers[index + 1]}`);
  return Buffer.from(`${lines.join("\r\n")}\r\n\r\n`, "latin1");
}

function begin({ connection, method, path }: Outgoing, headers: RawHeaders): ClientRequest {
  const request = httpRequest({
    createConnection: () => connection,
    method,
    path,
    headers: headers as string[],
    maxHeaderSize: maxHeaderBytes,
    insecureHTTPParser: false,
  });
  request.maxHeadersCount = 200;
  return request;
}

/** Node frames a body by these headers; the incoming framing was between the caller and us. */
function framedAs(incoming: IncomingMessage, { headers, method }: Outgoing): string[] {
  if (incoming.headers["transfer-encoding"] !== undefined) return [...headers, "Transfer-Encoding", "chunked"];
  const bodiless = valuesOf(headers, "content-length").length === 0;
  return bodiless && /^(POST|PUT|PATCH)$/.test(method) ? [...headers, "Content-Length", "0"] : [...headers];
}

/** What came behind the answer to an upgrade that was granted. */
const upgradeOf = new WeakMap<ClientRequest, Buffer>();

function answerOf(request: ClientRequest, { answerWithinMs, connection }: Outgoing): Promise<IncomingMessage> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      reject(new SandboxesError("Timeout", `No answer came within ${answerWithinMs} ms`, { status: 504 }));
      connection.destroy();
    }, answerWithinMs);
    const settle = (response: IncomingMessage) => {
      clearTimeout(timer);
      resolve(response);
    };
    request.once("response", settle);
    request.once("upgrade", (response, _socket, head) => {
      upgradeOf.set(request, head);
      settle(response);
    });
    request.on("error", (cause) => {
      clearTimeout(timer);
      reject(new SandboxesError("GuestFailed", "The connection broke before an answer came", { cause }));
    });
    request.once("close", () => {
      clearTimeout(timer);
      reject(new SandboxesError("GuestFailed", "The connection was closed before an answer came"));
    });
  });
}
