import type { GuestAgent } from "../../../provider/host/vm/guestAgent";
import { elfProgram } from "./elfProgram";

// For x86-64 Linux: takes process 1's descriptors one after the other (pidfd_open, pidfd_getfd) and writes 32 bytes of
// nonsense to each, the agent's way to the host among them.
const code = [
  "bf01000000 31f6 b8b2010000 0f05", // pidfd_open(1, 0)
  "4189c4 4531ed", // r12 = that, r13 = 0
  "4489e7 4489ee 31d2 b8b6010000 0f05", // again: pidfd_getfd(r12, r13, 0)
  "85c0 7815", // if there is none, skip
  "89c7 488d351e000000 ba20000000 b801000000 0f05", // write(it, garbage, 32)
  "41ffc5 4183fd40 72cf", // skip: r13 += 1; if below 64, again
  "31ff b83c000000 0f05", // exit(0)
  "ee".repeat(32), // garbage
];

/** Runs it in the guest as its root, as a hostile guest would: the host gets bytes that are no frames, until it hears no more. */
export async function sendGarbage(agent: GuestAgent): Promise<void> {
  const path = "/tmp/garbage";
  const source = async function* () {
    yield garbageProgram();
  };
  await agent.writeFile(path, source(), { mode: 0o755 });
  let isConnected = true;
  void agent.closed.then(() => {
    isConnected = false;
  });
  // Again: it may meet a channel that is full, or a frame that swallows it.
  while (isConnected) {
    // Its end may be told or not: the connection breaks under it.
    const started = await agent.exec({ argv: [path] }).catch(() => undefined);
    started?.stdout.resume();
    started?.stderr.resume();
    await started?.exit.catch(() => undefined);
  }
}

export function garbageProgram(): Buffer {
  return elfProgram(code);
}
