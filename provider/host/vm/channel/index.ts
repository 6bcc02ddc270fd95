export { connectGuestAgent } from "./connectGuestAgent";
export type { HandshakeOptions } from "./handshake";
