import { SandboxesError } from "../../../client/errors";
import { headerBytes, maxPayloadBytes } from "./protocol";

export interface Frame {
  stream: number;
  type: number;
  payload: Buffer;
}

/** One frame as it goes over the wire. */
export function encodeFrame(stream: number, type: number, payload: Uint8Array = noBytes): Buffer {
  const bytes = Buffer.allocUnsafe(headerBytes + payload.length);
  bytes.writeUInt32BE(payload.length, 0);
  bytes.writeUInt32BE(stream, 4);
  bytes[8] = type;
  bytes.set(payload, headerBytes);
  return bytes;
}

const noBytes = new Uint8Array(0);

/**
 * Bytes of the guest to frames. The guest is hostile: a frame beyond the limit throws `GuestFailed`, no more than one
 * unfinished frame is ever held, and each byte is copied at most twice however it dribbles in.
 */
export class FrameDecoder {
  #header = Buffer.alloc(headerBytes);
  #headerFill = 0;
  /** The unfinished frame's payload; undefined until its header is complete. */
  #payload: Buffer | undefined;
  #payloadFill = 0;

  /** Frames completed by `chunk`; payloads may share its memory. */
  *push(chunk: Buffer): Generator<Frame> {
    let offset = 0;
    for (;;) {
      if (this.#payload === undefined) {
        const taken = chunk.copy(this.#header, this.#headerFill, offset);
        this.#headerFill += taken;
        offset += taken;
        if (this.#headerFill < headerBytes) return;
        const length = payloadLength(this.#header);
        if (chunk.length - offset >= length) {
          const payload = chunk.subarray(offset, offset + length);
          offset += length;
          yield this.#finish(payload);
          continue;
        }
        this.#payload = Buffer.allocUnsafe(length);
      }
      const taken = chunk.copy(this.#payload, this.#payloadFill, offset);
      this.#payloadFill += taken;
      offset += taken;
      if (this.#payloadFill < this.#payload.length) return;
      yield this.#finish(this.#payload);
    }
  }

  /** Bytes of the unfinished frame. */
  get heldBytes(): number {
    return this.#headerFill + (this.#payload?.length ?? 0);
  }

  #finish(payload: Buffer): Frame {
    this.#headerFill = 0;
    this.#payload = undefined;
    this.#payloadFill = 0;
    return { stream: this.#header.readUInt32BE(4), type: this.#header[8]!, payload };
  }
}

function payloadLength(header: Buffer): number {
  const length = header.readUInt32BE(0);
  if (length > maxPayloadBytes) {
    throw new SandboxesError("GuestFailed", `Reading from the guest: a frame of ${length} bytes was announced`);
  }
  return length;
}
