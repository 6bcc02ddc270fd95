import { type Duplex, duplexPair } from "node:stream";
import { setImmediate as turn } from "node:timers/promises";
import { connectGuestAgent } from "../../../../provider/host/vm/channel";
import { encodeFrame, FrameDecoder } from "../../../../provider/host/vm/channel/frames";
import { frameType, guestWindowBytes, magic, paddingByte } from "../../../../provider/host/vm/channel/protocol";
import type { GuestAgent } from "../../../../provider/host/vm/guestAgent";

export interface HostileGuest {
  agent: GuestAgent;
  /** The host's end of the connection. */
  host: Duplex;
  guest: Duplex;
}

/** An agent whose guest is played by the test: `answer` gets every frame that is no HELLO. */
export async function hostileGuest(
  answer: (stream: number, type: number, guest: Duplex, payload: Buffer) => void,
): Promise<HostileGuest> {
  const [host, guest] = duplexPair();
  const decoder = new FrameDecoder();
  guest.on("error", () => {});
  guest.on("data", async (chunk: Buffer) => {
    // As on a wire: no answer comes while the question is being written.
    await turn();
    const start = chunk.findIndex((byte) => byte !== paddingByte);
    for (const { stream, type, payload } of decoder.push(chunk.subarray(start))) {
      if (type !== frameType.hello) {
        answer(stream, type, guest, payload);
        continue;
      }
      const tail = Buffer.alloc(4);
      tail.writeUInt32BE(guestWindowBytes);
      const ack = Buffer.concat([magic, payload.subarray(magic.length), tail]);
      guest.write(encodeFrame(0, frameType.helloAck, ack));
    }
  });
  return { agent: await connectGuestAgent(host, { helloTimeoutMs: 60_000 }), host, guest };
}

/** Fields as a guest sends them. */
export function fields(...list: [tag: number, value: string | Buffer][]): Buffer {
  return Buffer.concat(
    list.map(([tag, value]) => {
      const content = Buffer.from(value);
      const header = Buffer.from([tag, 0, 0, 0, 0]);
      header.writeUInt32BE(content.length, 1);
      return Buffer.concat([header, content]);
    }),
  );
}
