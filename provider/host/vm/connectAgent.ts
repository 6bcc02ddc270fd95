import type { Socket } from "node:net";
import type { GuestAgent } from "./guestAgent";

/** Says hello to the agent of a running guest; takes the socket over. */
export type ConnectAgent = (
  socket: Socket,
  options: { signal?: AbortSignal; helloTimeoutMs?: number },
) => Promise<GuestAgent>;
