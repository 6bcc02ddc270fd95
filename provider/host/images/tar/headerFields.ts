import { SandboxesError } from "../../../client/errors";

const [space, zero, seven] = [0x20, 0x30, 0x37];

/** Text of a header field: up to its first NUL. */
export function headerText(header: Buffer, offset: number, length: number): string {
  const end = header.indexOf(0, offset);
  return header.toString("latin1", offset, end < 0 || end > offset + length ? offset + length : end);
}

/** Number of a header field: octal text, or big-endian two's complement where the first bit is set (GNU). */
export function headerNumber(header: Buffer, offset: number, length: number): number {
  const first = header[offset] as number;
  if (first & 0x80) {
    let value = BigInt.asIntN(7, BigInt(first & 0x7f));
    for (let index = 1; index < length; index++) value = (value << 8n) | BigInt(header[offset + index] as number);
    return Number(value);
  }
  let value = 0;
  let index = offset;
  const end = offset + length;
  while (index < end && header[index] === space) index++;
  for (; index < end; index++) {
    const byte = header[index] as number;
    if (byte === 0 || byte === space) break;
    if (byte < zero || byte > seven) throw new SandboxesError("ImageInvalid", "a header holds a number that is none");
    value = value * 8 + byte - zero;
  }
  return value;
}

/** Throws unless the header's checksum is right; some old writers summed signed bytes. */
export function requireChecksum(header: Buffer): void {
  let unsigned = 0;
  let signed = 0;
  for (let index = 0; index < header.length; index++) {
    const byte = index >= 148 && index < 156 ? 32 : (header[index] as number);
    unsigned += byte;
    signed += byte > 127 ? byte - 256 : byte;
  }
  const stored = Number.parseInt(headerText(header, 148, 8).trim(), 8);
  if (stored !== unsigned && stored !== signed) {
    throw new SandboxesError("ImageInvalid", "the stream is no tar: a header's checksum is wrong");
  }
}

export function isZeroBlock(block: Buffer): boolean {
  return block[0] === 0 && block.every((byte) => byte === 0);
}
