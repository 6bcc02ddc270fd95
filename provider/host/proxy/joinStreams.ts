import type { Duplex } from "node:stream";

/**
 * Bytes both ways until both sides have ended, either breaks, or nothing has moved for `idleMs`; then both are
 * destroyed. Resolves when it is over; never rejects.
 */
export function joinStreams(left: Duplex, right: Duplex, idleMs: number): Promise<void> {
  return new Promise((resolve) => {
    let open = 2;
    const timer = setTimeout(() => end(), idleMs);
    const end = () => {
      clearTimeout(timer);
      left.destroy();
      right.destroy();
      resolve();
    };
    for (const [from, to] of [
      [left, right],
      [right, left],
    ] as const) {
      from.on("data", () => timer.refresh());
      from.on("error", end); // A peer that vanished; the other one is let go, there is nobody to tell.
      from.once("close", () => {
        open -= 1;
        if (open === 0 || !from.readableEnded) end();
      });
      from.pipe(to);
    }
  });
}
