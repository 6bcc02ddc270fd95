import { BlockList, isIP } from "node:net";
import { z } from "zod";

/** An address or a range of them, `10.0.0.0/8`, `2001:db8::/32`; host bits are ignored. */
export const cidr = z.string().refine((text) => parseCidr(text) !== undefined, "write an address or a CIDR range");

/** Undefined for what is no range. */
export function parseCidr(text: string): { address: string; prefix: number; family: "ipv4" | "ipv6" } | undefined {
  const [address = "", length, ...rest] = text.trim().split("/");
  const version = isIP(address);
  if (version === 0 || address.includes("%") || rest.length > 0) return undefined;
  const bits = version === 4 ? 32 : 128;
  if (length !== undefined && !/^\d{1,3}$/.test(length)) return undefined;
  const prefix = length === undefined ? bits : Number(length);
  return prefix > bits ? undefined : { address, prefix, family: version === 4 ? "ipv4" : "ipv6" };
}

/** Ranges to check addresses against; throws on text that `cidr` would refuse. */
export function rangeList(ranges: readonly string[]): BlockList {
  const list = new BlockList();
  for (const range of ranges) {
    const parsed = parseCidr(range);
    if (!parsed) throw new Error(`"${range}" is no range of addresses`);
    list.addSubnet(parsed.address, parsed.prefix, parsed.family);
  }
  return list;
}
