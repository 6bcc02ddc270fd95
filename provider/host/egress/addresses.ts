import { isIPv4, isIPv6 } from "node:net";
import { networkInterfaces } from "node:os";
import { rangeList } from "../../client/wire/addressRanges";

/** What is nobody's on the internet (IANA's special-purpose registries), and Azure's host on a public address. */
const special4 = rangeList([
  ...["0.0.0.0/8", "10.0.0.0/8", "100.64.0.0/10", "127.0.0.0/8", "169.254.0.0/16", "172.16.0.0/12", "192.0.0.0/24"],
  ...["192.0.2.0/24", "192.88.99.0/24", "192.168.0.0/16", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24"],
  ...["224.0.0.0/4", "240.0.0.0/4", "168.63.129.16"],
]);
/** All that is routed is in here … */
const global6 = rangeList(["2000::/3"]);
/** … but for these: among them Teredo and 6to4, which would carry any IPv4 address. */
const special6 = rangeList(["2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20"]);
const translated6 = rangeList(["64:ff9b::/96"]);

/** Says why no sandbox may connect to an address, whatever its policy says; undefined when it may. */
export type JudgeAddress = (address: string) => string | undefined;

/**
 * Loopback, link-local (the metadata services of clouds), private and otherwise special addresses, and the addresses of
 * this machine itself. `allowed` are the operator's exceptions, CIDR ranges; they win over everything.
 */
export function createAddressJudge(allowed: readonly string[], ownAddresses = machineAddresses): JudgeAddress {
  const exceptions = rangeList(allowed);
  return (address) => {
    const plain = unwrapped(address);
    if (isIPv4(plain)) {
      if (exceptions.check(plain, "ipv4")) return undefined;
      if (special4.check(plain, "ipv4")) return "it is not an address of the internet";
    } else if (isIPv6(plain)) {
      if (exceptions.check(plain, "ipv6")) return undefined;
      if (!global6.check(plain, "ipv6") || special6.check(plain, "ipv6")) return "it is not an address of the internet";
    } else {
      return "it is no address";
    }
    return ownAddresses().includes(plain.toLowerCase()) ? "it is an address of this host" : undefined;
  };
}

/** The IPv4 address that an IPv6 address stands for, where it does. */
function unwrapped(address: string): string {
  if (!isIPv6(address) || address.includes("%")) return address;
  const canonical = new URL(`http://[${address}]`).hostname.slice(1, -1);
  const mapped = /^::ffff:([0-9a-f]{1,4}):([0-9a-f]{1,4})$/.exec(canonical);
  if (mapped) return dotted(mapped[1]!, mapped[2]!);
  if (!translated6.check(canonical, "ipv6")) return canonical;
  const groups = canonical.split("::").at(-1)!.split(":").filter(Boolean);
  return dotted(groups.at(-2) ?? "0", groups.at(-1) ?? "0");
}

function dotted(high: string, low: string): string {
  const bits = Number.parseInt(high, 16) * 65_536 + Number.parseInt(low, 16);
  return [24, 16, 8, 0].map((shift) => Math.floor(bits / 2 ** shift) % 256).join(".");
}

function machineAddresses(): string[] {
  return Object.values(networkInterfaces()).flatMap((each) => each?.map(({ address }) => address.toLowerCase()) ?? []);
}
