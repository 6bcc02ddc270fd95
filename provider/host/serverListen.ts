import { chmodSync, closeSync, constants, lstatSync, mkdirSync, openSync, rmSync } from "node:fs";
import { basename, dirname, join, resolve } from "node:path";
import type { FastifyInstance } from "fastify";
import { SandboxesError } from "../client/errors";

/** Where the host listens: `unix:/path` or `address:port` (`[::1]:8443`, `0.0.0.0:0`). */
export type ListenAddress = { path: string } | { host: string; port: number };

/** Reads `--listen`; throws `Invalid`. */
export function parseListen(text: string): ListenAddress {
  if (text.startsWith("unix:") && text.length > 5) return { path: resolve(text.slice(5)) };
  const match = /^(?:\[([0-9a-fA-F:.]+)\]|([^:[\]/]+)):(\d{1,5})$/.exec(text);
  const port = Number(match?.[3]);
  if (match && port <= 65_535) return { host: (match[1] ?? match[2])!, port };
  throw new SandboxesError("Invalid", `Cannot listen on "${text}": write unix:/path or address:port`);
}

/** Longest path the kernel takes for a socket. */
const maxSocketPath = 107;

/**
 * Listens on a unix socket that only its owner may use, from its first moment. What lies at the path is removed only
 * if it is a socket: the data directory's lock has shown that nobody serves it. The result removes the socket.
 */
export async function listenUnix(app: FastifyInstance, path: string): Promise<() => void> {
  mkdirSync(dirname(path), { recursive: true, mode: 0o700 });
  removeStale(path);
  // A path that is too long is reached through its directory's descriptor, which the kernel resolves to the same.
  const long = Buffer.byteLength(path) > maxSocketPath;
  const directory = long ? openSync(dirname(path), constants.O_RDONLY | constants.O_DIRECTORY) : undefined;
  const before = process.umask(0o077);
  try {
    const reachable = directory === undefined ? path : join(`/proc/self/fd/${directory}`, basename(path));
    await app.listen({ path: reachable, listenTextResolver: () => "serving" });
  } finally {
    process.umask(before);
  }
  chmodSync(path, 0o600);
  return () => {
    rmSync(path, { force: true });
    if (directory !== undefined) closeSync(directory);
  };
}

function removeStale(path: string): void {
  const found = lstatSync(path, { throwIfNoEntry: false });
  if (!found) return;
  if (!found.isSocket()) {
    throw new SandboxesError("Conflict", `Cannot listen on "${path}": something that is no socket is there`);
  }
  rmSync(path);
}
