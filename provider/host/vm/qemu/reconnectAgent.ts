import type { ConnectAgent } from "../connectAgent";
import type { GuestAgent } from "../guestAgent";
import type { QemuProcess } from "./qemuProcess";

/** For a guest that ran before: it only has to be scheduled. */
const withinMs = 20_000;
/** A guest that can answer does so within a fraction of it; later attempts take twice as long as the one before. */
const firstAttemptMs = 1_000;

/**
 * Connects to the agent of a guest that ran before, for another host process perhaps. More than once: a QEMU that learns
 * of the former connection's end from a write of the guest's holds all its later writes back until the next one ends.
 */
export async function reconnectAgent(qemu: QemuProcess, connectAgent: ConnectAgent): Promise<GuestAgent> {
  const deadline = Date.now() + withinMs;
  let hasEnded = false;
  void qemu.qmp.closed.then(() => {
    hasEnded = true;
  });
  for (let attemptMs = firstAttemptMs; ; attemptMs *= 2) {
    const left = deadline - Date.now();
    // No attempt that is cut shorter than the one before.
    const isLast = attemptMs * 2 > left;
    try {
      const socket = await qemu.connectAgentSocket();
      return await connectAgent(socket, { helloTimeoutMs: isLast ? left : attemptMs });
    } catch (error) {
      if (isLast || hasEnded) throw error;
    }
  }
}
