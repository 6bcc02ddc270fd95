import { isIP } from "node:net";
import type { Duplex } from "node:stream";
import { isSandboxesError, SandboxesError } from "../../client/errors";
import { renderAnswer } from "../proxy/forward";
import { joinStreams } from "../proxy/joinStreams";
import type { EgressDecision } from "../store/egressDecisionStore";
import { type Greeting, maxGreetingBytes, readGreeting } from "./clientHello";
import { normalHost } from "./hostPattern";
import { intercept } from "./intercept";
import { type GuestConnection, type ProxiedGuest, type ProxyParts, refusalOf, type Tunnel } from "./proxyParts";

/** After CONNECT a client has that long to say its first words. */
const greetWithinMs = 20_000;
/** A tunnel through which nothing moves. */
const idleMs = 30 * 60_000;

/**
 * Serves a CONNECT. What goes through must begin as TLS for the very host that was asked for and judged; or it is plain
 * HTTP, whose requests are then judged one by one, as are those within TLS where a rule wants to see them. Never rejects.
 */
export async function openTunnel(
  parts: ProxyParts,
  connection: GuestConnection,
  authority: string,
  socket: Duplex,
  head: Buffer,
): Promise<void> {
  const gone = new AbortController();
  socket.once("close", () => gone.abort());
  socket.on("error", () => socket.destroy()); // The guest vanished; there is nobody to tell.
  const { guest } = connection;
  let upstream: Duplex | undefined;
  try {
    const target = parseAuthority(authority);
    if (!target || connection.authority) {
      throw new SandboxesError("Invalid", `CONNECT wants host:port, not "${authority.slice(0, 100)}"`);
    }
    const { host, port } = target;
    const asked = { host, port, method: "CONNECT", path: "", scheme: "https" };
    const policy = guest.policy();
    const inspects = policy.inspects(host) && policy.mayAllow("https", host);
    const verdict = policy.decide({ scheme: "https", host });
    if (!verdict.allowed && !inspects && !policy.mayAllow("http", host)) {
      guest.record("denied", { ...asked, reason: verdict.reason });
      throw denied(host, verdict.reason);
    }
    if (verdict.allowed && !inspects) upstream = await dialled(parts, guest, asked, gone.signal);
    socket.write("HTTP/1.1 200 Connection Established\r\n\r\n");
    const { greeting, bytes } = await greetingOf(socket, head, gone.signal);
    if (greeting.kind === "other") {
      upstream?.destroy();
      socket.unshift(bytes);
      parts.serveInside(socket, { guest, authority: port === 80 ? bracketed(host) : `${bracketed(host)}:${port}` });
      return;
    }
    const reason = verdict.allowed || inspects ? mismatch(host, greeting) : verdict.reason;
    if (inspects && reason === undefined) {
      socket.unshift(bytes);
      const secure = await intercept(socket, parts.authority().contextFor(host));
      parts.serveInside(secure, { guest, authority: `${bracketed(host)}:${port}`, isSecure: true });
      return;
    }
    if (reason !== undefined || !upstream) {
      guest.record("denied", { ...asked, reason: reason ?? verdict.reason });
      upstream?.destroy();
      socket.destroy();
      return;
    }
    const watched = verdict.denied ? { enforced: false } : {};
    guest.record(verdict.denied ? "denied" : "allowed", { ...asked, reason: verdict.reason, ...watched });
    upstream.write(bytes);
    const tunnel: Tunnel = { guest, host, close: () => socket.destroy() };
    parts.tunnels.add(tunnel);
    await joinStreams(socket, upstream, idleMs);
    parts.tunnels.delete(tunnel);
  } catch (error) {
    upstream?.destroy();
    if (gone.signal.aborted) return;
    const { status, body } = refusalOf(error, parts.failed);
    socket.end(renderAnswer(status, body));
  }
}

/** What a decision is about. */
type Asked = Omit<EgressDecision, "timestamp" | "reason">;

/** Connects; an address that no policy can allow is recorded as a denial, too. */
export async function dialled(
  { dial }: ProxyParts,
  guest: ProxiedGuest,
  asked: Asked,
  signal: AbortSignal,
): Promise<Duplex> {
  try {
    return await dial(asked.host, asked.port, signal);
  } catch (error) {
    if (isSandboxesError(error, "Forbidden")) guest.record("denied", { ...asked, reason: "address" });
    throw error;
  }
}

export function denied(host: string, reason: string): SandboxesError {
  return new SandboxesError("Forbidden", `The egress policy of this sandbox denies ${host} (${reason})`, {
    serviceCode: "EgressDenied",
  });
}

/** `host:port` or `[::1]:port`, in the form in which names and addresses are compared. */
export function parseAuthority(text: string): { host: string; port: number } | undefined {
  const match = /^(\[[0-9a-fA-F:.]+\]|[^\s:/?#@[\]\\]+):(\d{1,5})$/.exec(text);
  if (!match || !URL.canParse(`http://${text}`)) return undefined;
  // As URLs are read: 127.1 and 0x7f000001 are addresses, too.
  const host = normalHost(new URL(`http://${text}`).hostname);
  const port = Number(match[2]);
  return host !== "" && port >= 1 && port <= 65_535 ? { host, port } : undefined;
}

function mismatch(host: string, greeting: Greeting): string | undefined {
  if (greeting.kind !== "tls") return "not TLS";
  const { serverName } = greeting;
  if (serverName === undefined) return isIP(host) ? undefined : "TLS without a server name";
  return normalHost(serverName) === host ? undefined : "TLS for another host";
}

function bracketed(host: string): string {
  return isIP(host) === 6 ? `[${host}]` : host;
}

/** The first bytes, up to where they tell what they are; the socket is paused behind them. */
function greetingOf(
  socket: Duplex,
  head: Buffer,
  gone: AbortSignal,
): Promise<{ greeting: Exclude<Greeting, { kind: "incomplete" }>; bytes: Buffer }> {
  return new Promise((resolve, reject) => {
    let bytes = head;
    const finish = () => {
      clearTimeout(timer);
      socket.off("data", onData);
      socket.off("end", onEnd);
      gone.removeEventListener("abort", onEnd);
      socket.pause();
    };
    const look = () => {
      const greeting = bytes.length === 0 ? ({ kind: "incomplete" } as const) : readGreeting(bytes);
      if (greeting.kind === "incomplete" && bytes.length <= maxGreetingBytes) return;
      finish();
      resolve({ greeting: greeting.kind === "incomplete" ? { kind: "other" } : greeting, bytes });
    };
    const onData = (chunk: Buffer) => {
      bytes = Buffer.concat([bytes, chunk]);
      look();
    };
    const onEnd = () => {
      finish();
      socket.destroy();
      reject(new SandboxesError("Timeout", "Nothing came through the tunnel"));
    };
    const timer = setTimeout(onEnd, greetWithinMs);
    socket.on("data", onData);
    socket.once("end", onEnd);
    gone.addEventListener("abort", onEnd);
    look();
  });
}
