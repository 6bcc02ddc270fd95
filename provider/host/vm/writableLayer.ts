/**
 * Where what a sandbox writes is kept: in the guest's memory as long as half of that holds all it may write, else in a
 * file of the host's. The smaller of the two disks would cost memory that programs need, the larger would not fit.
 */
export function writableLayer(size: { memoryMiB: number; diskMiB: number }): "memory" | "disk" {
  return size.diskMiB * 2 <= size.memoryMiB ? "memory" : "disk";
}
