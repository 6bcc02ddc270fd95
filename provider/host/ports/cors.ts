import type { IncomingHttpHeaders } from "node:http";
import type { PortCors } from "../../client/wire/ports";
import { without } from "../proxy/headers";

const anything = ["*"];

/** True for the question that a browser asks before it sends what a page wants. */
export function isPreflight(method: string | undefined, headers: IncomingHttpHeaders): boolean {
  return method === "OPTIONS" && headers.origin !== undefined && "access-control-request-method" in headers;
}

/** Headers that answer a preflight; none for an origin that may not call, which the browser takes as a no. */
export function preflightHeaders(cors: PortCors, headers: IncomingHttpHeaders): string[] {
  const granted = originHeaders(cors, headers.origin);
  if (granted.length === 0) return [];
  const { allowMethods, allowHeaders, maxAge } = cors;
  // With credentials a browser takes "*" literally, so what it asks for is repeated.
  const asked = String(headers["access-control-request-headers"] ?? "");
  const names = (allowHeaders ?? anything).includes("*") ? asked : (allowHeaders ?? []).join(", ");
  const methods = (allowMethods ?? anything).includes("*")
    ? String(headers["access-control-request-method"])
    : (allowMethods ?? []).join(", ");
  return [
    ...granted,
    ...["Access-Control-Allow-Methods", methods],
    ...(names ? ["Access-Control-Allow-Headers", names] : []),
    ...(maxAge === null || maxAge === undefined ? [] : ["Access-Control-Max-Age", String(maxAge)]),
  ];
}

/** The program's own answer with the port's rules in place of its own. */
export function withCors(cors: PortCors, headers: readonly string[], origin: string | undefined): string[] {
  const own = without(headers, (name) => name.startsWith("access-control-allow-"));
  return [...own, ...originHeaders(cors, origin)];
}

function originHeaders(cors: PortCors, origin: string | undefined): string[] {
  const allowed = cors.allowOrigins ?? [];
  if (origin === undefined || !(allowed.includes(origin) || allowed.includes("*"))) return [];
  return [
    ...["Access-Control-Allow-Origin", allowed.includes("*") ? "*" : origin],
    ...(cors.allowCredentials ? ["Access-Control-Allow-Credentials", "true"] : []),
    ...["Vary", "Origin"],
  ];
}
