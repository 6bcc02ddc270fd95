import { expect, it } from "vitest";
import { emptyOverlay } from "../../../provider/host/vm/qemu/qcow2";

const cluster = 65536;

it.each([
  ["30 MiB", 30 * 2 ** 20, 1],
  ["10 GiB", 10 * 2 ** 30, 20],
  ["1 TiB", 2 ** 40, 2048],
])("of %s is a header, counts of its own clusters and an empty table", (_name, size, tableEntries) => {
  const image = emptyOverlay(size);
  expect(image.toString("latin1", 0, 4)).toBe("QFI\xfb");
  expect(image.readBigUInt64BE(24)).toBe(BigInt(size));
  expect(image.readUInt32BE(36)).toBe(tableEntries);
  // Named by nobody but QEMU's command line.
  expect(image.readBigUInt64BE(8)).toBe(0n);
  const counts = Number(image.readBigUInt64BE(Number(image.readBigUInt64BE(48))));
  const counted = Array.from({ length: image.length / cluster }, (_, index) => image.readUInt16BE(counts + 2 * index));
  expect(counted.every((count) => count === 1)).toBe(true);
  expect(image.readUInt16BE(counts + 2 * counted.length)).toBe(0);
  const table = Number(image.readBigUInt64BE(40));
  expect(image.subarray(table).every((byte) => byte === 0)).toBe(true);
  expect(image.length).toBeGreaterThanOrEqual(table + tableEntries * 8);
});
