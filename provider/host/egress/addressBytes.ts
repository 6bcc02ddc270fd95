import { isIPv4 } from "node:net";

/** The 4 or 16 bytes of an address in the form that `normalHost` gives it. */
export function addressBytes(address: string): Buffer {
  if (isIPv4(address)) return Buffer.from(address.split(".").map(Number));
  // As URLs are written: hexadecimal groups only, and at most one gap.
  const written = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const [head = "", tail] = written.split("::");
  const groups = (text: string) => (text === "" ? [] : text.split(":").map((group) => Number.parseInt(group, 16)));
  const [before, after] = [groups(head), groups(tail ?? "")];
  const gap = tail === undefined ? [] : new Array<number>(8 - before.length - after.length).fill(0);
  return Buffer.from([...before, ...gap, ...after].flatMap((group) => [group >> 8, group & 0xff]));
}
