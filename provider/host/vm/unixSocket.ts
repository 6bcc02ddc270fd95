import { constants, open } from "node:fs/promises";
import { createConnection, type Socket } from "node:net";

/** Connects to the socket `name` in `directory`, whose path may be of any length (a socket's own may have 107 bytes). */
export async function connectUnix(directory: string, name: string, signal?: AbortSignal): Promise<Socket> {
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  try {
    return await new Promise((resolve, reject) => {
      const socket = createConnection({ path: `/proc/self/fd/${handle.fd}/${name}`, signal });
      socket.once("error", reject);
      socket.once("connect", () => {
        socket.off("error", reject);
        resolve(socket);
      });
    });
  } finally {
    await handle.close();
  }
}
