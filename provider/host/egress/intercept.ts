import type { Duplex } from "node:stream";
import { type SecureContext, TLSSocket } from "node:tls";
import { SandboxesError } from "../../client/errors";

const shakeHandsWithinMs = 20_000;

/** Speaks TLS with a guest in a site's place; rejects when the guest does not trust us, or leaves. Only HTTP/1.1 is offered. */
export function intercept(socket: Duplex, secureContext: SecureContext): Promise<TLSSocket> {
  return new Promise((resolve, reject) => {
    const secure = new TLSSocket(socket as never, { isServer: true, secureContext, ALPNProtocols: ["http/1.1"] });
    // Node's server of HTTP destroys what speaks TLS right after the last byte of an answer, which would break off what
    // is still under way to the guest. The guest ends its side once it has all, or the connection's idle time does.
    secure.destroySoon = () => void secure.end();
    const timer = setTimeout(() => secure.destroy(), shakeHandsWithinMs);
    secure.on("error", () => secure.destroy()); // A guest that broke off; there is nobody to tell.
    secure.once("close", () => {
      clearTimeout(timer);
      socket.destroy();
      reject(new SandboxesError("Invalid", "The guest ended the TLS handshake"));
    });
    secure.once("secure", () => {
      clearTimeout(timer);
      resolve(secure);
    });
  });
}
