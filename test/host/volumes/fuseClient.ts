import { duplexPair } from "node:stream";
import { serveVolume } from "../../../provider/host/volumes/serveVolume";
import type { VolumeFiles } from "../../../provider/host/volumes/volumeFiles";

export interface FuseAnswer {
  /** 0, or the error's number, positive. */
  error: number;
  body: Buffer;
}

/** Speaks with a volume as a guest's kernel does, or as a guest that pretends to be one. */
export class FuseClient {
  readonly warnings: object[] = [];
  readonly ended: Promise<void>;
  readonly #stream = duplexPair();
  readonly #waiting = new Map<bigint, (answer: FuseAnswer) => void>();
  #received = Buffer.alloc(0);
  #number = 0n;

  constructor(files: VolumeFiles, mount: { id?: string; readOnly?: boolean } = {}) {
    const log = { warn: (facts: object) => void this.warnings.push(facts), error: () => undefined };
    const { id = "guest", readOnly = false } = mount;
    files.attach(id, false);
    const [ours, theirs] = this.#stream;
    ours.on("data", (chunk: Buffer) => this.#take(chunk));
    ours.on("error", () => undefined); // It was broken off, as some tests want.
    this.ended = serveVolume({ id, files, readOnly, exclusive: false }, theirs, log as never);
  }

  ask(kind: number, ino: number, body: Uint8Array = Buffer.alloc(0), number = ++this.#number): Promise<FuseAnswer> {
    const message = Buffer.alloc(40 + body.length);
    message.writeUInt32LE(message.length, 0);
    message.writeUInt32LE(kind, 4);
    message.writeBigUInt64LE(number, 8);
    message.writeBigUInt64LE(BigInt(ino), 16);
    message.set(body, 40);
    const answered = new Promise<FuseAnswer>((resolve) => this.#waiting.set(number, resolve));
    this.send(message);
    return answered;
  }

  send(bytes: Uint8Array): void {
    this.#stream[0].write(bytes);
  }

  async close(): Promise<void> {
    this.#stream[0].end();
    await this.ended;
  }

  #take(chunk: Buffer): void {
    this.#received = Buffer.concat([this.#received, chunk]);
    while (this.#received.length >= 16 && this.#received.length >= this.#received.readUInt32LE(0)) {
      const length = this.#received.readUInt32LE(0);
      const number = this.#received.readBigUInt64LE(8);
      const answer = { error: Math.abs(this.#received.readInt32LE(4)), body: this.#received.subarray(16, length) };
      this.#received = this.#received.subarray(length);
      this.#waiting.get(number)?.(answer);
      this.#waiting.delete(number);
    }
  }
}

/** Numbers of a question's body, 4 or 8 bytes each, and strings. */
export function body(...parts: (["u32" | "u64", number] | string)[]): Buffer {
  return Buffer.concat(
    parts.map((part) => {
      if (typeof part === "string") return Buffer.from(`${part}\0`);
      const [size, value] = part;
      const bytes = Buffer.alloc(size === "u32" ? 4 : 8);
      if (size === "u32") bytes.writeUInt32LE(value);
      else bytes.writeBigUInt64LE(BigInt(value));
      return bytes;
    }),
  );
}
