import { SandboxesError } from "../../../client/errors";

/** Builds the fields of a request: each a tag (u8), a length (u32) and as many bytes. */
export class FieldWriter {
  readonly #parts: Buffer[] = [];

  bytes(tag: number, value: Uint8Array | string): this {
    const content = typeof value === "string" ? Buffer.from(value) : value;
    const header = Buffer.allocUnsafe(5);
    header[0] = tag;
    header.writeUInt32BE(content.length, 1);
    this.#parts.push(header, Buffer.from(content.buffer, content.byteOffset, content.byteLength));
    return this;
  }

  /** A whole number from 0 up to 2^53. */
  number(tag: number, value: number): this {
    if (!Number.isSafeInteger(value) || value < 0) {
      throw new SandboxesError("Invalid", `Encoding a request: "${value}" is not a whole number from 0`);
    }
    const content = Buffer.allocUnsafe(8);
    content.writeBigUInt64BE(BigInt(value));
    return this.bytes(tag, content);
  }

  /** A field whose presence is its meaning; none if `present` is not true. */
  flag(tag: number, present: boolean | undefined): this {
    return present ? this.bytes(tag, "") : this;
  }

  /** Adds another writer's fields behind these. */
  append(other: FieldWriter): this {
    this.#parts.push(...other.#parts);
    return this;
  }

  toBuffer(): Buffer {
    return Buffer.concat(this.#parts);
  }
}

/** Fields that the guest sent. Throws `GuestFailed` if they are malformed; unknown tags are kept and ignored. */
export class Fields {
  readonly #fields: [tag: number, value: Buffer][] = [];

  constructor(bytes: Buffer) {
    let offset = 0;
    while (offset < bytes.length) {
      const end = offset + 5 <= bytes.length ? offset + 5 + bytes.readUInt32BE(offset + 1) : Number.POSITIVE_INFINITY;
      if (end > bytes.length) throw malformed("a field is cut off");
      this.#fields.push([bytes[offset]!, bytes.subarray(offset + 5, end)]);
      offset = end;
    }
  }

  get(tag: number): Buffer | undefined {
    return this.#fields.find(([candidate]) => candidate === tag)?.[1];
  }

  all(tag: number): Buffer[] {
    return this.#fields.filter(([candidate]) => candidate === tag).map(([, value]) => value);
  }

  /** Those with one of the tags, in their order. */
  pieces(tags: readonly number[]): [tag: number, value: Buffer][] {
    return this.#fields.filter(([candidate]) => tags.includes(candidate));
  }

  /** A number of up to eight bytes; numbers beyond 2^53 are cut to that. */
  number(tag: number): number | undefined {
    const value = this.get(tag);
    if (value === undefined) return undefined;
    if (value.length < 1 || value.length > 8) throw malformed("a number has a wrong size");
    let number = 0;
    for (const byte of value) number = number * 256 + byte;
    return Math.min(number, Number.MAX_SAFE_INTEGER);
  }

  requiredNumber(tag: number): number {
    const value = this.number(tag);
    if (value === undefined) throw malformed("a number is missing");
    return value;
  }
}

/** What the guest sent makes no sense; ends the call or the connection. */
export function malformed(what: string): SandboxesError {
  return new SandboxesError("GuestFailed", `Reading from the guest: ${what}`);
}
