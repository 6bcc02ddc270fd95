import { closeSync, openSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { basename, dirname } from "node:path";

/** sun_path holds 108 bytes with the final zero, see unix(7). */
const maxPathBytes = 107;

/**
 * Connects to a unix socket of any path length; the longer ones by way of an open directory. The caller listens for
 * `connect` and `error`.
 */
export function connectUnix(path: string): Socket {
  if (Buffer.byteLength(path) <= maxPathBytes) return connect({ path });
  const directory = openSync(dirname(path), "r");
  const socket = connect({ path: `/proc/self/fd/${directory}/${basename(path)}` });
  const close = () => {
    socket.off("connect", close).off("close", close);
    closeSync(directory);
  };
  return socket.once("connect", close).once("close", close);
}
