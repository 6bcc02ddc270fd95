import { SandboxesError } from "../../../client/errors";
import { Fields, type FieldWriter } from "./fields";
import { encodeFrame } from "./frames";
import { frameType, guestWindowBytes, hostWindowBytes, maxPayloadBytes, maxRequestBytes, tag } from "./protocol";

/** Output 0 is standard output or a file's or port's bytes, output 1 standard error. */
export type Output = 0 | 1;

/** What a call wants to hear of its stream. Exactly one of `ended` and `lost` is called, last. */
export interface StreamEvents {
  opened?(fields: Fields): void;
  data?(output: Output, bytes: Buffer): void;
  eof?(output: Output): void;
  ended(fields: Fields): void;
  lost(error: SandboxesError): void;
}

/** Credit goes back in quarters of the window: seldom enough to cost little, early enough that the guest never stalls. */
const creditStepBytes = guestWindowBytes / 4;

/**
 * One call over the channel, with credit in both directions: neither side ever holds more than a window of bytes that
 * nobody has read.
 */
export class GuestStream {
  readonly #id: number;
  readonly #write: (bytes: Buffer) => void;
  #events: StreamEvents;
  #sendCredit = hostWindowBytes;
  #waiting: { bytes: Uint8Array; done: () => void }[] = [];
  #received: [number, number] = [0, 0];
  #owed: [number, number] = [0, 0];
  #over = false;
  #opened = false;
  #ended: [boolean, boolean] = [false, false];

  constructor(id: number, write: (bytes: Buffer) => void, events: StreamEvents) {
    this.#id = id;
    this.#write = write;
    this.#events = events;
  }

  /** Sends the request that begins the call. */
  open(request: FieldWriter): void {
    let bytes = request.toBuffer();
    if (bytes.length > maxRequestBytes) {
      throw new SandboxesError("TooLarge", `Calling the agent: the request has ${bytes.length} bytes`);
    }
    while (bytes.length > maxPayloadBytes) {
      this.#frame(frameType.openPart, bytes.subarray(0, maxPayloadBytes));
      bytes = bytes.subarray(maxPayloadBytes);
    }
    this.#frame(frameType.open, bytes);
  }

  /** Sends input; `done` is called once the guest's window has taken all of it, or the call is over. */
  send(bytes: Uint8Array, done: () => void): void {
    if (this.#over) {
      done();
      return;
    }
    this.#waiting.push({ bytes, done });
    this.#sendWaiting();
  }

  /** No more input comes. Call it after the last `send` is done. */
  sendEof(): void {
    this.#frame(frameType.eof, Buffer.of(0));
  }

  control(request: FieldWriter): void {
    this.#frame(frameType.control, request.toBuffer());
  }

  /** The reader has taken bytes of an output: the guest may send as many again. */
  consumed(output: Output, count: number): void {
    this.#owed[output] += count;
    if (this.#owed[output] < creditStepBytes || this.#over) return;
    const credit = Buffer.alloc(5);
    credit[0] = output;
    credit.writeUInt32BE(this.#owed[output], 1);
    this.#received[output] -= this.#owed[output];
    this.#owed[output] = 0;
    this.#frame(frameType.credit, credit);
  }

  /** Breaks the call off: the guest ends what it does for it. Nothing is heard of it any more. */
  reset(): void {
    if (this.#over) return;
    this.#frame(frameType.reset);
    // No credit either: what the guest has sent before it hears of this fits into the window.
    this.#events = { ended: () => {}, lost: () => {} };
    this.#releaseWaiting();
  }

  /** A frame of the guest for this stream; true when it was the last one. Throws `GuestFailed` on a breach. */
  receive(type: number, payload: Buffer): boolean {
    switch (type) {
      case frameType.opened:
        if (this.#opened) throw breach("a second beginning of a call");
        this.#opened = true;
        this.#events.opened?.(new Fields(payload));
        return false;
      case frameType.data:
        this.#receiveData(0, payload);
        return false;
      case frameType.dataError:
        this.#receiveData(1, payload);
        return false;
      case frameType.eof:
        this.#receiveEof(payload[0] === 1 ? 1 : 0);
        return false;
      case frameType.credit:
        this.#receiveCredit(payload);
        return false;
      case frameType.end: {
        const fields = new Fields(payload);
        // Whoever waits for the beginning would wait for ever.
        const isFailure = fields.get(tag.failure) !== undefined;
        if (this.#events.opened && !this.#opened && !isFailure) throw breach("the end of a call that never began");
        this.#finish();
        this.#events.ended(fields);
        return true;
      }
      default:
        throw breach(`a frame of type ${type} in a stream`);
    }
  }

  /** The guest is gone. */
  lose(error: SandboxesError): void {
    this.#finish();
    this.#events.lost(error);
  }

  #receiveEof(output: Output): void {
    if (this.#ended[output]) throw breach("a second end of an output");
    this.#ended[output] = true;
    this.#events.eof?.(output);
  }

  #receiveData(output: Output, bytes: Buffer): void {
    // Bytes cost credit; frames without any would cost nothing but our time.
    if (bytes.length === 0) throw breach("an empty piece of output");
    if (this.#ended[output]) throw breach("bytes behind the end of an output");
    this.#received[output] += bytes.length;
    if (this.#received[output] > guestWindowBytes) throw breach("more bytes than it has credit for");
    this.#events.data?.(output, bytes);
  }

  #receiveCredit(payload: Buffer): void {
    const credit = payload.length === 5 ? payload.readUInt32BE(1) : 0;
    if (credit === 0) throw breach("a malformed credit");
    this.#sendCredit += credit;
    if (this.#sendCredit > hostWindowBytes) throw breach("more credit than there are bytes");
    this.#sendWaiting();
  }

  #sendWaiting(): void {
    for (;;) {
      const next = this.#waiting[0];
      if (next === undefined) return;
      const count = Math.min(next.bytes.length, this.#sendCredit, maxPayloadBytes);
      if (count > 0) {
        this.#sendCredit -= count;
        this.#frame(frameType.data, next.bytes.subarray(0, count));
        next.bytes = next.bytes.subarray(count);
      }
      if (next.bytes.length > 0) return;
      this.#waiting.shift();
      next.done();
    }
  }

  #finish(): void {
    this.#over = true;
    this.#releaseWaiting();
  }

  #releaseWaiting(): void {
    for (const { done } of this.#waiting.splice(0)) done();
  }

  #frame(type: number, payload?: Uint8Array): void {
    if (!this.#over) this.#write(encodeFrame(this.#id, type, payload));
  }
}

function breach(what: string): SandboxesError {
  return new SandboxesError("GuestFailed", `Reading from the guest: it sent ${what}`);
}
