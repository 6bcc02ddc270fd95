/** Between two ends of one connection only, and so nothing to pass on (RFC 9110, 7.6.1). */
const hopByHop = new Set([
  "connection",
  "keep-alive",
  "proxy-authenticate",
  "proxy-authorization",
  "proxy-authentication-info",
  "proxy-connection",
  "te",
  "trailer",
  "transfer-encoding",
  "upgrade",
  "http2-settings",
]);

/** Names and values, alternating, as Node has them in `rawHeaders`: order, case and repetitions stay. */
export type RawHeaders = readonly string[];

/** Leaves out what concerns one connection only, and what `Connection` names as such. */
export function endToEnd(headers: RawHeaders): string[] {
  const named = valuesOf(headers, "connection").flatMap((value) => value.split(","));
  const dropped = new Set([...hopByHop, ...named.map((name) => name.trim().toLowerCase())]);
  return without(headers, (name) => dropped.has(name));
}

export function without(headers: RawHeaders, isDropped: (lowerCaseName: string) => boolean): string[] {
  const kept: string[] = [];
  for (let index = 0; index + 1 < headers.length; index += 2) {
    if (!isDropped(headers[index]!.toLowerCase())) kept.push(headers[index]!, headers[index + 1]!);
  }
  return kept;
}

export function valuesOf(headers: RawHeaders, name: string): string[] {
  const values: string[] = [];
  for (let index = 0; index + 1 < headers.length; index += 2) {
    if (headers[index]!.toLowerCase() === name) values.push(headers[index + 1]!);
  }
  return values;
}

/** One value in place of all that were there. */
export function withHeader(headers: RawHeaders, name: string, value: string): string[] {
  return [...without(headers, (each) => each === name.toLowerCase()), name, value];
}
