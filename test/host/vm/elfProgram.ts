const base = 0x400000;
const headers = 64 + 56;

/**
 * The smallest ELF file around code for x86-64 Linux (https://refspecs.linuxfoundation.org/elf/elf.pdf): what a guest
 * without a compiler can run. The code is in hexadecimal, with spaces as wished, and begins at its beginning.
 */
export function elfProgram(code: string[]): Buffer {
  const bytes = Buffer.from(code.join("").replaceAll(" ", ""), "hex");
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
  const size = BigInt(headers + bytes.length);
  file.writeUInt32LE(1, 64); // one segment, to be loaded
  file.writeUInt32LE(5, 68); // to read and execute
  file.writeBigUInt64LE(BigInt(base), 80);
  file.writeBigUInt64LE(BigInt(base), 88);
  file.writeBigUInt64LE(size, 96);
  file.writeBigUInt64LE(size, 104);
  file.writeBigUInt64LE(0x1000n, 112);
  return Buffer.concat([file, bytes]);
}
