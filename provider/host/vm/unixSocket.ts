import { constants, open } from "node:fs/promises";
import { createConnection, type Socket } from "node:net";

/**
 * Connects to the socket `name` in `directory`, whose path may be of any length (a socket's own may have 107 bytes). The
 * signal ends the attempt; a connection that was made is the caller's alone.
 */
export async function connectUnix(directory: string, name: string, signal?: AbortSignal): Promise<Socket> {
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    signal?.throwIfAborted();
    // Not given to the socket itself, which the signal would end whenever it comes.
    const socket = createConnection({ path: `/proc/self/fd/${handle.fd}/${name}` });
    const giveUp = (): void => void socket.destroy(signal?.reason);
    signal?.addEventListener("abort", giveUp, { once: true });
    try {
      await new Promise<void>((resolve, reject) => socket.once("error", reject).once("connect", resolve));
    } finally {
      signal?.removeEventListener("abort", giveUp);
    }
    return socket;
  } finally {
    await handle.close();
  }
}
