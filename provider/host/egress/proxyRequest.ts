import type { IncomingMessage, ServerResponse } from "node:http";
import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { connect as connectTls } from "node:tls";
import { SandboxesError } from "../../client/errors";
import { forward, forwardUpgrade, type Outgoing, renderAnswer } from "../proxy/forward";
import { endToEnd, type RawHeaders, valuesOf, withHeader, without } from "../proxy/headers";
import { normalHost } from "./hostPattern";
import type { Verdict } from "./policy";
import { type GuestConnection, type ProxiedGuest, type ProxyParts, refusalOf } from "./proxyParts";
import { denied, dialled } from "./tunnel";

/** A server may think for that long before it answers. */
const answerWithinMs = 5 * 60_000;
const secureWithinMs = 15_000;
/** A WebSocket on which nothing moves. */
const idleMs = 30 * 60_000;

/** Serves one plain HTTP request of a guest: judged by host, method and path, and sent where it was judged to go. */
export async function proxyRequest(
  parts: ProxyParts,
  connection: GuestConnection,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<void> {
  const gone = abortOn(response);
  try {
    await forward(request, response, await outgoing(parts, connection, request, gone));
  } catch (error) {
    if (response.headersSent || gone.aborted) return void response.destroy();
    const { status, body } = refusalOf(error, parts.failed);
    const content = Buffer.from(JSON.stringify(body));
    const headers = ["Content-Type", "application/json", "Content-Length", String(content.length)];
    // What of the request was not read would be taken for the next one.
    response.writeHead(status, request.complete ? headers : [...headers, "Connection", "close"]).end(content);
  }
}

/** As `proxyRequest`, for one that opens a WebSocket. */
export async function proxyUpgrade(
  parts: ProxyParts,
  connection: GuestConnection,
  request: IncomingMessage,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  socket.on("error", () => socket.destroy()); // The guest vanished; there is nobody to tell.
  try {
    if (request.headers.upgrade?.toLowerCase() !== "websocket") {
      throw new SandboxesError("Unsupported", "Only WebSockets go through the proxy as upgrades");
    }
    await forwardUpgrade(socket, head, { ...(await outgoing(parts, connection, request, abortOn(socket))), idleMs });
  } catch (error) {
    const { status, body } = refusalOf(error, parts.failed);
    if (socket.writable) socket.end(renderAnswer(status, body));
  }
}

async function outgoing(
  parts: ProxyParts,
  { guest, authority, isSecure }: GuestConnection,
  request: IncomingMessage,
  signal: AbortSignal,
): Promise<Outgoing> {
  const method = request.method ?? "GET";
  const scheme = isSecure ? "https" : "http";
  const url = targetOf(request.url ?? "", authority, scheme);
  const host = normalHost(url.hostname);
  const verdict = guest.policy().decide({ scheme, host, method, path: url.pathname });
  const asked = { host, port: portOf(url), method, path: url.pathname, scheme };
  if (!verdict.allowed) {
    guest.record("denied", { ...asked, reason: verdict.reason });
    throw denied(host, verdict.reason);
  }
  if (verdict.headers?.length && /^(TRACE|CONNECT)$/.test(method)) {
    // Answers with the request as it came: with what a rule puts into it for the site's eyes only.
    throw new SandboxesError("Forbidden", `${method} cannot be asked for where a rule changes requests`);
  }
  const target = rewritten(url, verdict);
  // Expect was answered here already.
  const own = without(endToEnd(request.rawHeaders), (name) => name === "expect");
  const headers = transformed(withHeader(own, "Host", target.host), verdict, guest);
  const dialTo = { ...asked, host: normalHost(target.hostname), port: portOf(target) };
  const plain = await dialled(parts, guest, dialTo, signal);
  const watched = verdict.denied ? { enforced: false } : {};
  guest.record(verdict.denied ? "denied" : "allowed", { ...asked, reason: verdict.reason, ...watched });
  const connection = target.protocol === "https:" ? await secured(parts, plain, target.hostname, signal) : plain;
  return { connection, method, path: target.pathname + target.search, headers, answerWithinMs };
}

/** Dots in the path are resolved by reading it: what is judged is what is sent. */
function targetOf(url: string, authority: string | undefined, scheme: "http" | "https"): URL {
  const isOwn = authority !== undefined && url.startsWith("/");
  const text = isOwn ? `${scheme}://${authority}${url}` : url;
  if ((scheme === "https" && !isOwn) || (!isOwn && !/^http:\/\//i.test(text)) || !URL.canParse(text)) {
    throw new SandboxesError("Invalid", "This is the sandbox's egress proxy: ask for http://host/path, or CONNECT", {
      serviceCode: "InvalidProxyRequest",
    });
  }
  const target = new URL(text);
  if (target.username || target.password || target.hostname === "") {
    throw new SandboxesError("Invalid", "The address may hold no user", { serviceCode: "InvalidProxyRequest" });
  }
  target.hash = "";
  return target;
}

function portOf(url: URL): number {
  return url.port === "" ? (url.protocol === "https:" ? 443 : 80) : Number(url.port);
}

function rewritten(url: URL, { rewrite }: Verdict): URL {
  if (!rewrite) return url;
  const target = new URL(url);
  const { scheme, host, path } = rewrite;
  // Another place has its own port.
  if (scheme || host) target.port = "";
  if (scheme) target.protocol = scheme;
  if (host) target.hostname = isIP(host) === 6 ? `[${host}]` : host;
  if (path) [target.pathname = "", target.search = target.search] = path.split(/(?=\?)/, 2);
  return target;
}

/** `Set` replaces, `Insert` adds unless the request has one, `Remove` removes. */
function transformed(headers: RawHeaders, { headers: transforms }: Verdict, guest: ProxiedGuest): string[] {
  let result = [...headers];
  for (const { operation, name, value, valueRef } of transforms ?? []) {
    const key = name.toLowerCase();
    if (operation === "Remove") {
      result = without(result, (each) => each === key);
      continue;
    }
    if (operation === "Insert" && valuesOf(result, key).length > 0) continue;
    const secret = valueRef?.secretRef;
    const text = secret
      ? (secret.format ?? "{value}").replaceAll("{value}", () => guest.secret(secret.secretId, secret.secretKey))
      : (value ?? "");
    if (/[^\t\x20-\x7e\x80-\xff]/.test(text)) {
      throw new SandboxesError("Invalid", `The policy's value for the header ${name} is no header value`);
    }
    result = withHeader(result, name, text);
  }
  return result;
}

/** The site has to prove who it is. */
function secured(
  { siteAuthorities }: ProxyParts,
  socket: Duplex,
  hostname: string,
  signal: AbortSignal,
): Promise<Duplex> {
  return new Promise((resolve, reject) => {
    const host = hostname.replace(/^\[(.*)\]$/, "$1");
    const secure = connectTls({
      socket,
      host,
      servername: isIP(host) ? undefined : host,
      ALPNProtocols: ["http/1.1"],
      minVersion: "TLSv1.2",
      rejectUnauthorized: true,
      ...(siteAuthorities && { ca: siteAuthorities }),
    });
    const fail = (cause: unknown) => {
      clearTimeout(timer);
      secure.destroy();
      socket.destroy();
      const code = (cause as NodeJS.ErrnoException)?.code ?? "no answer";
      reject(
        new SandboxesError("HostUnavailable", `Cannot speak TLS with ${host}: ${code}`, {
          status: 502,
          serviceCode: "DestinationUnreachable",
        }),
      );
    };
    const timer = setTimeout(fail, secureWithinMs);
    signal.addEventListener("abort", fail, { once: true });
    secure.once("error", fail);
    secure.once("secureConnect", () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", fail);
      secure.off("error", fail);
      secure.on("error", () => secure.destroy()); // Who holds it sees it close.
      resolve(secure);
    });
  });
}

/** Aborts when the guest has left. */
function abortOn(stream: Duplex | ServerResponse): AbortSignal {
  const controller = new AbortController();
  stream.once("close", () => controller.abort());
  return controller.signal;
}
