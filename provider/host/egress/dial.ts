import { Resolver } from "node:dns/promises";
import { connect, isIP, type Socket } from "node:net";
import { SandboxesError } from "../../client/errors";
import type { JudgeAddress } from "./addresses";

/** For a name's addresses; Node asks each server that often within it. */
const resolveWithinMs = 5_000;
/** For one address to answer. */
const connectWithinMs = 10_000;
/** A name with hundreds of addresses does not get hundreds of attempts. */
const maxAttempts = 4;

/** All addresses of a name; rejects or answers none when there are none. */
export type ResolveName = (name: string) => Promise<string[]>;

/** Connects to a host and port of the internet. Throws `Forbidden` for where no sandbox may go. */
export type Dial = (host: string, port: number, signal: AbortSignal) => Promise<Socket>;

/**
 * Names are resolved here, on the host, and what is connected to is the address that was judged: a name that answers
 * differently the next time (rebinding) gains nothing.
 */
export function createDial(judge: JudgeAddress, resolve: ResolveName = createResolver()): Dial {
  return async (host, port, signal) => {
    const addresses = isIP(host) ? [host] : await addressesOf(host, resolve);
    const reachable = addresses.filter((address) => judge(address) === undefined);
    if (reachable.length === 0) {
      const reason = judge(addresses[0]!);
      const what = isIP(host) ? host : `${host} (${addresses[0]})`;
      throw new SandboxesError("Forbidden", `Cannot connect to ${what}: ${reason}`, {
        serviceCode: "DestinationForbidden",
      });
    }
    let last: unknown;
    for (const address of reachable.slice(0, maxAttempts)) {
      try {
        return await attempt(address, port, signal);
      } catch (error) {
        signal.throwIfAborted();
        last = error;
      }
    }
    const code = (last as NodeJS.ErrnoException)?.code ?? "it did not answer";
    throw unreachable(`Cannot connect to ${host} port ${port}: ${code}`);
  };
}

/** Asks the machine's name servers, not its hosts file: names that only this machine knows are nothing to a guest. */
function createResolver(): ResolveName {
  return async (name) => {
    // Not getaddrinfo, which takes one of four threads that all file access waits for, too.
    const resolver = new Resolver({ timeout: resolveWithinMs / 2, tries: 2 });
    const answers = await Promise.allSettled([resolver.resolve4(name), resolver.resolve6(name)]);
    return answers.flatMap((answer) => (answer.status === "fulfilled" ? answer.value : []));
  };
}

async function addressesOf(host: string, resolve: ResolveName): Promise<string[]> {
  let timer: NodeJS.Timeout | undefined;
  const late = new Promise<string[]>((done) => {
    timer = setTimeout(() => done([]), resolveWithinMs);
  });
  const found = await Promise.race([resolve(host).catch(() => []), late]);
  clearTimeout(timer);
  if (found.length > 0) return found;
  throw unreachable(`Cannot connect to ${host}: the name was not found`);
}

function attempt(address: string, port: number, signal: AbortSignal): Promise<Socket> {
  return new Promise((resolve, reject) => {
    signal.throwIfAborted();
    const socket = connect({ host: address, port, allowHalfOpen: true, keepAlive: true, noDelay: true });
    const giveUp = (error: unknown) => {
      socket.destroy();
      settled();
      reject(error);
    };
    const abort = () => giveUp(signal.reason);
    const timer = setTimeout(() => giveUp(Object.assign(new Error("timeout"), { code: "ETIMEDOUT" })), connectWithinMs);
    const settled = () => {
      clearTimeout(timer);
      signal.removeEventListener("abort", abort);
      socket.off("error", giveUp);
    };
    signal.addEventListener("abort", abort, { once: true });
    socket.once("error", giveUp);
    socket.once("connect", () => {
      settled();
      socket.on("error", () => socket.destroy()); // Who holds the socket sees it close.
      resolve(socket);
    });
  });
}

function unreachable(message: string): SandboxesError {
  return new SandboxesError("HostUnavailable", message, { status: 502, serviceCode: "DestinationUnreachable" });
}
