const clusterBits = 16;
const clusterBytes = 1 << clusterBits;
/** A second-level table fills a cluster with 8 bytes for each cluster of the disk. */
const bytesPerTable = clusterBytes * (clusterBytes / 8);

/**
 * An image of QEMU's copy-on-write format, version 3, in which nothing is written yet: everything is read from the disk
 * that QEMU is told to lay under it. Layout of <https://www.qemu.org/docs/master/interop/qcow2.html>: header, table of
 * reference counts, one block of them, first-level table; one cluster each.
 */
export function emptyOverlay(diskBytes: number): Buffer {
  const tableEntries = Math.ceil(diskBytes / bytesPerTable);
  const tableClusters = Math.ceil((tableEntries * 8) / clusterBytes);
  const clusters = 3 + tableClusters;
  const image = Buffer.alloc(clusters * clusterBytes);
  image.write("QFI\xfb", 0, "latin1");
  image.writeUInt32BE(3, 4);
  image.writeUInt32BE(clusterBits, 20);
  image.writeBigUInt64BE(BigInt(diskBytes), 24);
  image.writeUInt32BE(tableEntries, 36);
  image.writeBigUInt64BE(BigInt(3 * clusterBytes), 40);
  image.writeBigUInt64BE(BigInt(clusterBytes), 48);
  image.writeUInt32BE(1, 56);
  // Counts of 2^4 bits, in a header of 104 bytes behind which no extension follows.
  image.writeUInt32BE(4, 96);
  image.writeUInt32BE(104, 100);
  image.writeBigUInt64BE(BigInt(2 * clusterBytes), clusterBytes);
  for (let cluster = 0; cluster < clusters; cluster++) image.writeUInt16BE(1, 2 * clusterBytes + 2 * cluster);
  return image;
}
