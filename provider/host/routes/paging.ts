import type { FastifyRequest } from "fastify";
import { SandboxesError } from "../../client/errors";
import { isNewer, query } from "./request";

/** The most in one page, as on Azure. */
const maxPageSize = 100;
/** Of the older data plane, when a page is asked for without a size; Azure's own. */
const olderPageSize = 25;

/** What stands in lists: named by one of these, listed in the order of creation. */
interface Listed {
  id?: string;
  volumeName?: string;
  name?: string;
  createdAt?: string;
  createdAtUtc?: string;
  status?: { createdAt?: string };
}

/**
 * A list as the request's api-version has it. Older: a bare array, complete (Azure cuts it at 25 without a word)
 * unless `Page` (from 1) or `PageSize` ask for a part. Newer: `{value, nextLink}`. The items must be sorted by time of
 * creation, then name.
 */
export function page(request: FastifyRequest, items: object[]): object {
  if (!isNewer(request)) return asksForPart(request) ? numbered(request, items) : items;
  const { items: value, nextLink } = linked(request, items);
  return { value, nextLink };
}

/** One page and the link to the next, whichever api-version. */
export function linked(request: FastifyRequest, items: object[]): { items: object[]; nextLink: string | undefined } {
  if (query(request).page !== undefined) return { items: numbered(request, items), nextLink: undefined };
  const size = numberAsked(request, "pageSize", maxPageSize) ?? maxPageSize;
  const token = query(request).skipToken;
  const after = token === undefined ? undefined : Buffer.from(token, "base64url").toString("utf8");
  // By place in the order, not by count: what was deleted meanwhile shifts nothing.
  const rest = after === undefined ? items : items.filter((item) => placeOf(item) > after);
  const shown = rest.slice(0, size);
  const last = shown.at(-1);
  if (last === undefined || rest.length <= size) return { items: shown, nextLink: undefined };
  return { items: shown, nextLink: nextLink(request, placeOf(last)) };
}

function numbered(request: FastifyRequest, items: object[]): object[] {
  const size = numberAsked(request, "pageSize", maxPageSize) ?? olderPageSize;
  const number = Math.max(numberAsked(request, "page", Number.MAX_SAFE_INTEGER, 0) ?? 1, 1);
  return items.slice((number - 1) * size, number * size);
}

function asksForPart(request: FastifyRequest): boolean {
  return query(request).page !== undefined || query(request).pageSize !== undefined;
}

/** Absolute, from the caller's own view of this host: Azure's SDKs follow a link to the host they know only. */
function nextLink(request: FastifyRequest, after: string): string {
  const url = new URL(request.url, `${request.protocol}://${request.host || "localhost"}`);
  url.search = new URLSearchParams(query(request)).toString();
  url.searchParams.set("skipToken", Buffer.from(after).toString("base64url"));
  return url.href;
}

function placeOf(item: Listed): string {
  const { id, volumeName, name, createdAt, createdAtUtc, status } = item;
  return `${createdAt ?? createdAtUtc ?? status?.createdAt ?? ""} ${(id ?? volumeName ?? name ?? "").toLowerCase()}`;
}

function numberAsked(request: FastifyRequest, name: string, max: number, min = 1): number | undefined {
  const text = query(request)[name];
  if (text === undefined) return undefined;
  const value = Number(text);
  if (/^\d+$/.test(text) && value >= min && value <= max) return value;
  throw new SandboxesError("Invalid", `The query parameter ${name} is "${text}": use ${min} to ${max}`, {
    field: name,
  });
}
