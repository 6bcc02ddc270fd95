import { isIP } from "node:net";
import { domainToASCII } from "node:url";

/** A host name or address in the one form that is compared: lower case, ASCII, no dot at the end, no brackets. */
export function normalHost(host: string): string {
  const bare = host.replace(/^\[(.*)\]$/, "$1").replace(/\.$/, "");
  return isIP(bare) ? bare.toLowerCase() : domainToASCII(bare);
}

/** `*`, `*.example.com` (also `example.com` itself) or a whole name or address; undefined for anything else. */
export function parseHostPattern(pattern: string): ((normalHost: string) => boolean) | undefined {
  if (pattern === "*") return () => true;
  const isWildcard = pattern.startsWith("*.");
  const name = isWildcard ? pattern.slice(2) : pattern;
  const wanted = normalHost(name);
  if (wanted === "" || /[*/:@\s]/.test(isIP(wanted) ? "" : name)) return undefined;
  if (!isWildcard) return (host) => host === wanted;
  return isIP(wanted) ? undefined : (host) => host === wanted || host.endsWith(`.${wanted}`);
}
