import {
  type ClientHttp2Session,
  type ClientHttp2Stream,
  connect,
  constants,
  createSecureServer,
  createServer,
  type Http2Server,
  type Http2Session,
  type IncomingHttpHeaders,
  type OutgoingHttpHeaders,
  type ServerHttp2Stream,
} from "node:http2";
import type { Socket } from "node:net";
import { pipeline } from "node:stream/promises";
import { SandboxesError } from "../../client/errors";
import { maxHeaderBytes } from "../proxy/forward";
import { endToEnd, withHeader, without } from "../proxy/headers";
import type { PortRecord } from "../store/sandboxStore";
import { isPreflight, preflightHeaders, withCors } from "./cors";
import {
  abortOn,
  answerWithinMs,
  checkAccess,
  idleMs,
  type PortServerOptions,
  refusalOf,
  withoutToken,
} from "./portAccess";

/** Requests under way on one connection. */
const maxStreams = 100;
/** A connection to a program without a request. */
const keepMs = 5_000;
const settings = { maxConcurrentStreams: maxStreams, maxHeaderListSize: maxHeaderBytes, enablePush: false };
/** Of a caller, or of a guest: what is kept of its frames. */
const limits = { maxSessionMemory: 8, maxHeaderListPairs: 200, maxOutstandingPings: 4, maxOutstandingSettings: 4 };

/**
 * A server that speaks HTTP/2 with callers (TLS with ALPN, or by prior knowledge) and with the program in the sandbox (by
 * prior knowledge, over one connection for each of the caller's): streams, trailers and their back-pressure, as gRPC needs
 * them. It does not listen yet.
 */
export function createHttp2Port(options: PortServerOptions): { server: Http2Server; closeAll: () => void } {
  const { tls } = options;
  const server = tls
    ? createSecureServer({ ...tls, ...limits, settings, minVersion: "TLSv1.2", allowHTTP1: false })
    : createServer({ ...limits, settings });
  const sessions = new Map<Http2Session, GuestSession>();
  server.on("session", (session) => {
    const guest = new GuestSession(options);
    sessions.set(session, guest);
    session.setTimeout(idleMs, () => session.destroy());
    session.on("error", () => session.destroy()); // A peer that broke the protocol, or vanished.
    session.once("close", () => {
      sessions.delete(session);
      guest.close();
    });
  });
  const onStream = (stream: ServerHttp2Stream, headers: IncomingHttpHeaders, _flags: number, rawHeaders: string[]) => {
    const guest = stream.session && sessions.get(stream.session);
    if (guest) void serve(options, guest, stream, headers, plainHeaders(rawHeaders));
    else stream.close(constants.NGHTTP2_REFUSED_STREAM);
  };
  server.on("stream", onStream);
  const closeAll = () => {
    for (const session of sessions.keys()) session.destroy();
  };
  return { server, closeAll };
}

/** The connection to the program that belongs to one connection of a caller; made when it is first needed, and again. */
class GuestSession {
  readonly #options: PortServerOptions;
  #session: Promise<ClientHttp2Session> | undefined;
  #streams = 0;
  #unused: NodeJS.Timeout | undefined;

  constructor(options: PortServerOptions) {
    this.#options = options;
  }

  async request(
    port: PortRecord,
    headers: OutgoingHttpHeaders,
    endStream: boolean,
    signal: AbortSignal,
  ): Promise<ClientHttp2Stream> {
    this.#session ??= this.#connect(port, signal);
    const session = await this.#session;
    clearTimeout(this.#unused);
    this.#streams += 1;
    const stream = session.request(headers, { endStream, waitForTrailers: !endStream });
    stream.once("close", () => {
      this.#streams -= 1;
      // A connection that is only kept open is no use of a sandbox: it may be suspended.
      if (this.#streams === 0) this.#unused = setTimeout(() => session.destroy(), keepMs).unref();
    });
    return stream;
  }

  close(): void {
    clearTimeout(this.#unused);
    this.#session?.then(
      (session) => session.destroy(),
      () => undefined, // It never came to be.
    );
  }

  async #connect(port: PortRecord, signal: AbortSignal): Promise<ClientHttp2Session> {
    const forget = () => {
      this.#session = undefined;
    };
    try {
      const connection = await this.#options.connect(port.activationMode === "OnDemand", signal);
      const session = connect("http://sandbox", {
        ...{ createConnection: () => connection, ...limits },
        settings: { enablePush: false, maxHeaderListSize: maxHeaderBytes },
      });
      session.on("error", () => session.destroy()); // The program broke the protocol, or vanished: streams tell.
      session.once("close", () => {
        forget();
        connection.destroy();
      });
      session.once("goaway", forget);
      return session;
    } catch (error) {
      forget();
      throw error;
    }
  }
}

async function serve(
  options: PortServerOptions,
  guest: GuestSession,
  stream: ServerHttp2Stream,
  headers: IncomingHttpHeaders,
  plain: string[],
): Promise<void> {
  stream.on("error", () => undefined); // A caller that gave it up; `close` follows.
  const gone = abortOn(stream);
  const declared = options.declared();
  const cors = declared?.cors;
  try {
    const method = headers[":method"] ?? "GET";
    if (cors && isPreflight(method, headers)) {
      stream.respond({ ":status": 204, ...fromRaw(preflightHeaders(cors, headers)) }, { endStream: true });
      return;
    }
    const socket = stream.session?.socket as Socket | undefined;
    const port = checkAccess(options, declared, { address: socket?.remoteAddress, headers });
    if (method === "CONNECT") throw new SandboxesError("Unsupported", "CONNECT is not forwarded");
    const outgoing = {
      ...{ ":method": method, ":path": headers[":path"] ?? "/", ":scheme": "http" },
      ":authority": headers[":authority"] ?? headers.host ?? "sandbox",
      ...fromRaw(forwarded(options, port, headers, plain, socket?.remoteAddress)),
    };
    const request = await guest.request(port, outgoing, stream.readableEnded || hasNoBody(stream), gone);
    await relay(stream, request, (answer) => (cors ? withCors(cors, answer, headers.origin) : answer), gone);
  } catch (error) {
    const { status, body, headers: more = [] } = refusalOf(options, error);
    if (stream.destroyed || stream.closed) return;
    if (stream.headersSent) return stream.close(constants.NGHTTP2_INTERNAL_ERROR);
    const shown = cors ? withCors(cors, more, headers.origin) : more;
    stream.respond({ ":status": status, "content-type": "application/json", ...fromRaw(shown) });
    stream.end(JSON.stringify(body));
  }
}

/** Bodies both ways at once, then trailers; what breaks on one side is broken off on the other. */
async function relay(
  stream: ServerHttp2Stream,
  request: ClientHttp2Stream,
  answerHeaders: (headers: string[]) => string[],
  gone: AbortSignal,
): Promise<void> {
  const leave = () => request.close(constants.NGHTTP2_CANCEL);
  gone.addEventListener("abort", leave, { once: true });
  let trailers: IncomingHttpHeaders = {};
  let asked: IncomingHttpHeaders = {};
  request.on("trailers", (found) => {
    trailers = found;
  });
  stream.on("trailers", (found) => {
    asked = found;
  });
  request.on("wantTrailers", () => request.sendTrailers(ordinary(asked)));
  request.on("error", () => undefined); // Told by the answer that does not come, or is cut.
  if (request.writable)
    pipeline(stream, request).catch(() => undefined); // Its failure shows in the answer.
  else stream.resume();
  const { status, headers, isWhole } = await answerOf(request);
  stream.respond(
    { ":status": status, ...fromRaw(answerHeaders(endToEnd(headers))) },
    { waitForTrailers: !isWhole, endStream: isWhole },
  );
  if (isWhole) return;
  stream.on("wantTrailers", () => stream.sendTrailers(ordinary(trailers)));
  // Broken off on purpose: a cut answer must not look like a whole one.
  await pipeline(request, stream).catch(() => stream.close(constants.NGHTTP2_INTERNAL_ERROR));
  if (request.rstCode !== constants.NGHTTP2_NO_ERROR) stream.close(request.rstCode);
}

function answerOf(request: ClientHttp2Stream): Promise<{ status: number; headers: string[]; isWhole: boolean }> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(() => {
      request.close(constants.NGHTTP2_CANCEL);
      reject(new SandboxesError("Timeout", `No answer came within ${answerWithinMs} ms`, { status: 504 }));
    }, answerWithinMs);
    request.once("response", (headers, flags, raw) => {
      clearTimeout(timer);
      const isWhole = (flags & constants.NGHTTP2_FLAG_END_STREAM) !== 0;
      resolve({ status: headers[":status"] ?? 502, headers: plainHeaders(raw as unknown as string[]), isWhole });
    });
    request.once("close", () => {
      clearTimeout(timer);
      reject(new SandboxesError("GuestFailed", "The connection was closed before an answer came"));
    });
  });
}

function forwarded(
  options: PortServerOptions,
  port: PortRecord,
  headers: IncomingHttpHeaders,
  plain: string[],
  address: string | undefined,
): string[] {
  const own = without(endToEnd(plain), (name) => /^(x-)?forwarded/.test(name) || name === "host" || name === "expect");
  let kept = withoutToken(options, port, own, headers.authorization);
  // The only thing that it may say in HTTP/2, and gRPC insists on it.
  if (headers.te === "trailers") kept = withHeader(kept, "te", "trailers");
  kept = withHeader(kept, "x-forwarded-for", address ?? "unknown");
  kept = withHeader(kept, "x-forwarded-proto", options.tls ? "https" : "http");
  return withHeader(kept, "x-forwarded-host", headers[":authority"] ?? headers.host ?? "");
}

function hasNoBody(stream: ServerHttp2Stream): boolean {
  return stream.endAfterHeaders;
}

/** Names and values, alternating, without those of HTTP/2 itself. */
function plainHeaders(raw: readonly string[]): string[] {
  return without(raw, (name) => name.startsWith(":"));
}

function ordinary(headers: IncomingHttpHeaders): OutgoingHttpHeaders {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => !name.startsWith(":")));
}

function fromRaw(raw: readonly string[]): OutgoingHttpHeaders {
  const headers: Record<string, string[]> = {};
  for (let index = 0; index + 1 < raw.length; index += 2) {
    const name = (raw[index] as string).toLowerCase();
    headers[name] = [...(headers[name] ?? []), raw[index + 1] as string];
  }
  const single = (values: string[]) => (values.length === 1 ? (values[0] as string) : values);
  return Object.fromEntries(Object.entries(headers).map(([name, values]) => [name, single(values)]));
}
