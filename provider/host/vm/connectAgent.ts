import type { Duplex } from "node:stream";
import type { HandshakeOptions } from "./channel";
import type { GuestAgent } from "./guestAgent";

/** Says hello to the agent of a running guest; takes the socket over. */
export type ConnectAgent = (socket: Duplex, options: HandshakeOptions) => Promise<GuestAgent>;
