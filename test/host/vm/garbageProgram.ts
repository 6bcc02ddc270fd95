import type { GuestAgent } from "../../../provider/host/vm/guestAgent";

// For x86-64 Linux: takes process 1's descriptors one after the other (pidfd_open, pidfd_getfd) and writes 32 bytes of
// nonsense to each, the agent's way to the host among them.
const code = Buffer.from(
  [
    "bf01000000 31f6 b8b2010000 0f05", // pidfd_open(1, 0)
    "4189c4 4531ed", // r12 = that, r13 = 0
    "4489e7 4489ee 31d2 b8b6010000 0f05", // again: pidfd_getfd(r12, r13, 0)
    "85c0 7815", // if there is none, skip
    "89c7 488d351e000000 ba20000000 b801000000 0f05", // write(it, garbage, 32)
    "41ffc5 4183fd40 72cf", // skip: r13 += 1; if below 64, again
    "31ff b83c000000 0f05", // exit(0)
    "ee".repeat(32), // garbage
  ]
    .join("")
    .replaceAll(" ", ""),
  "hex",
);

const base = 0x400000;
const headers = 64 + 56;

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

/** The smallest ELF file around the code (https://refspecs.linuxfoundation.org/elf/elf.pdf). */
export function garbageProgram(): Buffer {
  const file = Buffer.alloc(headers);
  file.write("\x7fELF\x02\x01\x01", "latin1");
  file.writeUInt16LE(2, 16); // an executable
  file.writeUInt16LE(62, 18); // for x86-64
  file.writeUInt32LE(1, 20);
  file.writeBigUInt64LE(BigInt(base + headers), 24); // begins behind the headers
  file.writeBigUInt64LE(64n, 32);
  file.writeUInt16LE(64, 52);
  file.writeUInt16LE(56, 54);
  file.writeUInt16LE(1, 56);
  const size = BigInt(headers + code.length);
  file.writeUInt32LE(1, 64); // one segment, to be loaded
  file.writeUInt32LE(5, 68); // to read and execute
  file.writeBigUInt64LE(BigInt(base), 80);
  file.writeBigUInt64LE(BigInt(base), 88);
  file.writeBigUInt64LE(size, 96);
  file.writeBigUInt64LE(size, 104);
  file.writeBigUInt64LE(0x1000n, 112);
  return Buffer.concat([file, code]);
}
