import { gunzipSync, zstdDecompressSync } from "node:zlib";
import { SandboxesError } from "../../../client/errors";
import { runTool } from "../runTool";
import { unpackLegacyLz4 } from "./lz4";

/**
 * The ELF kernel inside a bzImage, which QEMU starts without firmware; an ELF file is returned as it is. Field offsets:
 * https://docs.kernel.org/arch/x86/boot.html
 */
export async function extractVmlinux(image: Buffer): Promise<Buffer> {
  if (isElf(image)) return image;
  if (image.length < 0x260 || image.toString("latin1", 0x202, 0x206) !== "HdrS") {
    throw new SandboxesError("HostUnavailable", "the kernel is neither an ELF file nor a bzImage");
  }
  const setupSectors = image[0x1f1] || 4;
  const start = (setupSectors + 1) * 512 + image.readUInt32LE(0x248);
  const kernel = await decompress(image.subarray(start, start + image.readUInt32LE(0x24c)));
  if (!isElf(kernel)) throw new SandboxesError("HostUnavailable", "the kernel's payload is not an ELF file");
  return kernel;
}

/** Unpacks by magic number: gzip, xz, zstd, lz4 (legacy); anything else is returned as it is. */
export async function decompress(bytes: Buffer): Promise<Buffer> {
  const magic = bytes.toString("hex", 0, 6);
  if (magic.startsWith("02214c18")) return unpackLegacyLz4(bytes);
  // What follows the packed data in a kernel is its unpacked size, which decoders would take for a damaged member.
  if (magic.startsWith("1f8b")) return gunzipSync(bytes);
  if (magic.startsWith("28b52ffd")) return zstdDecompressSync(bytes);
  if (magic.startsWith("fd377a585a00")) return runTool("xz", ["-dc", "--single-stream"], { input: bytes });
  return bytes;
}

function isElf(bytes: Buffer): boolean {
  return bytes.toString("latin1", 0, 4) === "\x7fELF";
}
