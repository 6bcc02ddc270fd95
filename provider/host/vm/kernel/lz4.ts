/**
 * Unpacks lz4's legacy format, the one Linux kernels are packed with: blocks of up to 8 MiB, each with its packed size
 * before it. https://github.com/lz4/lz4/blob/dev/doc/lz4_Frame_format.md#legacy-frame
 */
export function unpackLegacyLz4(packed: Uint8Array): Buffer {
  const view = new DataView(packed.buffer, packed.byteOffset, packed.byteLength);
  const blocks: Uint8Array[] = [];
  // The kernel's build appends the unpacked size, which looks like the header of a block that is not there.
  for (let position = 4; position + 4 < packed.length; ) {
    const size = view.getUint32(position, true);
    position += 4;
    if (size === 0 || position + size > packed.length) break;
    blocks.push(unpackBlock(packed.subarray(position, position + size)));
    position += size;
  }
  return Buffer.concat(blocks);
}

const maxBlockBytes = 8 << 20;

function unpackBlock(packed: Uint8Array): Uint8Array {
  const output = new Uint8Array(maxBlockBytes);
  let read = 0;
  let written = 0;
  const length = (nibble: number): number => {
    let total = nibble;
    if (nibble === 15) {
      let more: number;
      do {
        more = packed[read++] ?? 0;
        total += more;
      } while (more === 255);
    }
    return total;
  };
  while (read < packed.length) {
    const token = packed[read++] as number;
    const literals = length(token >> 4);
    output.set(packed.subarray(read, read + literals), written);
    read += literals;
    written += literals;
    if (read >= packed.length) break;
    const distance = (packed[read] as number) | ((packed[read + 1] as number) << 8);
    read += 2;
    const copied = length(token & 15) + 4;
    if (distance === 0 || distance > written) throw new RangeError("lz4 block refers to bytes before its start");
    if (distance >= copied) output.copyWithin(written, written - distance, written - distance + copied);
    else for (let index = 0; index < copied; index++) output[written + index] = output[written + index - distance] ?? 0;
    written += copied;
  }
  return output.subarray(0, written);
}
