import { older, WireError, type WireReply, type WireRequest } from "./wire";

const unaskedPageSize = 25;
const maxPageSize = 100;
const guidPattern = /^[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/i;

/** A list as each version has it: an array silently cut at 25, or pages that link to the next. */
export function listOf(request: WireRequest, all: object[]): WireReply {
  const { query } = request;
  if (request.apiVersion === older) {
    const size = Math.min(Number(query.get("PageSize") ?? unaskedPageSize), maxPageSize);
    const start = Math.max(0, Number(query.get("Page") ?? 1) - 1) * size;
    return { status: 200, json: all.slice(start, start + size) };
  }
  const size = Math.min(Number(query.get("pageSize") ?? unaskedPageSize), maxPageSize);
  const start = Number(query.get("skipToken") ?? 0);
  const next = new URLSearchParams(query);
  next.set("skipToken", String(start + size));
  const nextLink = all.length > start + size ? `https://${request.headers.host}${request.path}?${next}` : undefined;
  return { status: 200, json: { value: all.slice(start, start + size), nextLink } };
}

/** Those that carry all labels of the query. */
export function labelled<Item extends { labels: Record<string, string> }>(request: WireRequest, all: Item[]): Item[] {
  const pairs = (request.query.get("labels") ?? "").split(",").filter(Boolean);
  return all.filter(({ labels }) =>
    pairs.every((pair) => {
      const at = pair.indexOf("=");
      return labels[pair.slice(0, at)] === pair.slice(at + 1);
    }),
  );
}

/** Refuses an id that is none, as the service does. */
export function requireGuid(id: string): string {
  if (guidPattern.test(id)) return id;
  throw new WireError(400, "InvalidRequest", "The input was not valid.", { id: ["The input was not valid."] });
}

/** Refuses a method that the version does not have for this. */
export function requireMethod(request: WireRequest, older_: string, newer_: string): void {
  if (request.method === (request.apiVersion === older ? older_ : newer_)) return;
  throw new WireError(405, "MethodNotAllowed", `${request.method} is not allowed in ${request.apiVersion}.`);
}
