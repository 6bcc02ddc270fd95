/** What the first bytes of a connection are. */
export type Greeting =
  | { kind: "incomplete" }
  | { kind: "tls" /** The name it asks for; undefined: none. */; serverName: string | undefined }
  /** Something else. */
  | { kind: "other" };

const handshakeRecord = 22;
const clientHelloMessage = 1;
const serverNameExtension = 0;
/** Of the message that holds the name; real ones have 2 KiB at most. */
export const maxGreetingBytes = 16 * 1024;

/** Reads as much of a TLS ClientHello as tells the name of the server that is asked for (RFC 8446 4.1.2, RFC 6066 3). */
export function readGreeting(bytes: Buffer): Greeting {
  const message: Buffer[] = [];
  let offset = 0;
  for (;;) {
    if (bytes.length > offset && bytes[offset] !== handshakeRecord) return { kind: "other" };
    if (bytes.length > offset + 1 && bytes[offset + 1] !== 3) return { kind: "other" };
    if (bytes.length < offset + 5) return incompleteOrOther(bytes);
    const length = bytes.readUInt16BE(offset + 3);
    message.push(bytes.subarray(offset + 5, offset + 5 + length));
    // A message may be spread over records.
    const held = Buffer.concat(message);
    if (held.length > 0 && held[0] !== clientHelloMessage) return { kind: "other" };
    if (held.length >= 4 && held.length >= 4 + held.readUIntBE(1, 3)) {
      const hello = held.subarray(4, 4 + held.readUIntBE(1, 3));
      try {
        return { kind: "tls", serverName: serverNameOf(new Reader(hello)) };
      } catch {
        return { kind: "other" }; // Cut off within itself.
      }
    }
    if (length === 0 || bytes.length < offset + 5 + length) return incompleteOrOther(bytes);
    offset += 5 + length;
  }
}

function incompleteOrOther(bytes: Buffer): Greeting {
  return { kind: bytes.length > maxGreetingBytes ? "other" : "incomplete" };
}

function serverNameOf(hello: Reader): string | undefined {
  hello.skip(2 + 32); // version, random
  hello.skip(hello.number(1)); // session
  hello.skip(hello.number(2)); // cipher suites
  hello.skip(hello.number(1)); // compression
  if (hello.isAtEnd) return undefined;
  const extensions = hello.part(hello.number(2));
  let found: string | undefined;
  while (!extensions.isAtEnd) {
    const type = extensions.number(2);
    const content = extensions.part(extensions.number(2));
    if (type !== serverNameExtension) continue;
    // Twice would leave open which one the server takes.
    if (found !== undefined) throw new RangeError("two names");
    const names = content.part(content.number(2));
    if (names.number(1) !== 0) throw new RangeError("not a host name");
    found = names.part(names.number(2)).text();
    if (!names.isAtEnd) throw new RangeError("two names");
  }
  return found;
}

/** Throws a RangeError beyond the end. */
class Reader {
  readonly #bytes: Buffer;
  #offset = 0;

  constructor(bytes: Buffer) {
    this.#bytes = bytes;
  }

  get isAtEnd(): boolean {
    return this.#offset === this.#bytes.length;
  }

  number(size: 1 | 2): number {
    const value = this.#bytes.readUIntBE(this.#offset, size);
    this.#offset += size;
    return value;
  }

  skip(count: number): void {
    this.part(count);
  }

  part(count: number): Reader {
    const end = this.#offset + count;
    if (end > this.#bytes.length) throw new RangeError("cut off");
    const part = new Reader(this.#bytes.subarray(this.#offset, end));
    this.#offset = end;
    return part;
  }

  text(): string {
    return this.#bytes.toString("latin1");
  }
}
