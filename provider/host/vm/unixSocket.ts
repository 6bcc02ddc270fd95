import { constants, open } from "node:fs/promises";
import { createConnection, type Socket } from "node:net";
import { setTimeout as sleep } from "node:timers/promises";

/** A listener that is busy keeps few callers waiting, QEMU one, and refuses the others for now. */
const busy = { forMs: 20_000, againMs: 20 };

/**
 * Connects to the socket `name` in `directory`, whose path may be of any length (a socket's own may have 107 bytes). The
 * signal ends the attempt; a connection that was made is the caller's alone.
 */
export async function connectUnix(directory: string, name: string, signal?: AbortSignal): Promise<Socket> {
  const handle = await open(directory, constants.O_RDONLY | constants.O_DIRECTORY);
  const until = performance.now() + busy.forMs;
  try {
    for (;;) {
      try {
        return await connectOnce(`/proc/self/fd/${handle.fd}/${name}`, signal);
      } catch (error) {
        if ((error as NodeJS.ErrnoException).code !== "EAGAIN" || performance.now() > until) throw error;
        await sleep(busy.againMs, undefined, { signal }).catch(() => signal?.throwIfAborted());
      }
    }
  } finally {
    await handle.close();
  }
}

async function connectOnce(path: string, signal?: AbortSignal): Promise<Socket> {
  signal?.throwIfAborted();
  // The signal is not given to the socket itself, which it would end whenever it comes.
  const socket = createConnection({ path });
  const giveUp = (): void => void socket.destroy(signal?.reason);
  signal?.addEventListener("abort", giveUp, { once: true });
  try {
    await new Promise<void>((resolve, reject) => socket.once("error", reject).once("connect", resolve));
  } finally {
    signal?.removeEventListener("abort", giveUp);
  }
  return socket;
}
