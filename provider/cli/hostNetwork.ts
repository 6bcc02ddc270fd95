import { parseCidr } from "../client/wire/addressRanges";
import type { NetworkOptions } from "../host/serverNetwork";
import { usageError } from "./command";

/** Options of `sandboxes host serve` on the ways into and out of sandboxes. */
export const networkOptions = {
  "egress-allow-private": { type: "string", multiple: true },
  "port-range": { type: "string" },
} as const;

export const networkUsage = `  --port-range FIRST-LAST   where ports of sandboxes are served, on the address of --listen or on 127.0.0.1 (any free port)
  --egress-allow-private CIDR   addresses that sandboxes may connect to where their policy allows it, though they are
                       private or this host's own; repeatable`;

/** Reads those options; throws for what is malformed. */
export function readNetwork(
  values: { "egress-allow-private"?: string[]; "port-range"?: string },
  hint: string,
): NetworkOptions {
  const { "egress-allow-private": egressAllowPrivate, "port-range": range } = values;
  for (const each of egressAllowPrivate ?? []) {
    if (!parseCidr(each)) throw usageError(`"${each}" of --egress-allow-private is no range of addresses`, hint);
  }
  return { egressAllowPrivate, portRange: range === undefined ? undefined : readRange(range, hint) };
}

function readRange(text: string, hint: string): { first: number; last: number } {
  const match = /^(\d{1,5})-(\d{1,5})$/.exec(text);
  const [first, last] = [Number(match?.[1]), Number(match?.[2])];
  if (match && first >= 1 && first <= last && last <= 65_535) return { first, last };
  throw usageError(`"${text}" of --port-range is not FIRST-LAST, as in 20000-20999`, hint);
}
