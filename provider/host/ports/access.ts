import { createHash, timingSafeEqual } from "node:crypto";
import { isIPv4 } from "node:net";
import { rangeList } from "../../client/wire/addressRanges";
import type { IpAccessControl } from "../../client/wire/ports";

/** Whether a caller from that address may in; without a policy everybody may. An unknown address may not. */
export function allowsAddress(control: IpAccessControl | null | undefined, address: string | undefined): boolean {
  if (!control) return true;
  if (address === undefined) return false;
  const plain = withoutMapping(address);
  const family = isIPv4(plain) ? "ipv4" : "ipv6";
  const byPriority = [...(control.rules ?? [])].sort((one, other) => one.priority - other.priority);
  const matching = byPriority.find((rule) => rangeList(rule.sourceCidrs).check(plain, family));
  return (matching?.action ?? control.defaultAction) === "Allow";
}

/** True for an `Authorization` header with that token, in a time that does not depend on what is wrong. */
export function carriesToken(header: string | undefined, token: string): boolean {
  const sent = /^Bearer +(\S+) *$/i.exec(header ?? "")?.[1] ?? "";
  return timingSafeEqual(digest(sent), digest(token));
}

/** `::ffff:10.0.0.1` is how a socket for both families names an IPv4 caller. */
function withoutMapping(address: string): string {
  const inner = /^::ffff:(.+)$/i.exec(address)?.[1];
  return inner !== undefined && isIPv4(inner) ? inner : (address.split("%")[0] ?? address);
}

function digest(text: string): Buffer {
  return createHash("sha256").update(text).digest();
}
