import type { z } from "zod";
import type { HttpClient, HttpRequest } from "./http";

interface Page<Item> {
  value: Item[];
  nextLink: string | undefined;
}

/** The most that Azure gives at once; without asking it cuts an array at 25 and does not say so. */
const pageSize = 100;

/** All items of a paged list, each once. */
export function eachOf<Item>(
  http: HttpClient,
  schema: z.ZodType<Page<Item>>,
  request: HttpRequest,
): AsyncGenerator<Item> {
  return http.plane.dialect.pages === "numbers"
    ? eachNumbered(http, schema, request)
    : eachLinked(http, schema, request);
}

/** All items of a list whose answers tell how it goes on: the control plane's, and the newer data plane's. */
export async function* eachLinked<Item>(
  http: HttpClient,
  schema: z.ZodType<Page<Item>>,
  request: HttpRequest,
): AsyncGenerator<Item> {
  let next: HttpRequest | undefined = request;
  while (next) {
    const page: Page<Item> = await http.json(schema, next);
    yield* page.value;
    next = page.nextLink ? following(request, page.nextLink) : undefined;
  }
}

/**
 * All items of a list that may be a bare array. Whether Azure counts its pages from 0 or 1 is not written anywhere: so
 * the first is asked for without a number, then from 1 on, and what comes twice is dropped; that also holds where the
 * list changes between two pages. A server that ignores the numbers is noticed by a page that brings nothing new.
 */
async function* eachNumbered<Item>(
  http: HttpClient,
  schema: z.ZodType<Page<Item>>,
  request: HttpRequest,
): AsyncGenerator<Item> {
  const seen = new Set<string>();
  for (let number = 0; ; number++) {
    const query = { ...request.query, PageSize: String(pageSize), Page: number > 0 ? String(number) : undefined };
    const { value, nextLink }: Page<Item> = await http.json(schema, { ...request, query });
    const fresh = value.filter((item) => !seen.has(nameOf(item)));
    for (const item of fresh) seen.add(nameOf(item));
    yield* fresh;
    if (nextLink) return yield* eachLinked(http, schema, following(request, nextLink));
    if (value.length !== pageSize || (fresh.length === 0 && number > 1)) return;
  }
}

/**
 * Of a next link only path and query are used: the token goes to the plane's own endpoint and nowhere else.
 */
function following(request: HttpRequest, link: string): HttpRequest {
  const url = new URL(link, "http://localhost");
  return { ...request, path: url.pathname + url.search, query: undefined };
}

function nameOf(item: unknown): string {
  const { id, name, volumeName } = (item ?? {}) as Record<string, unknown>;
  return String(id ?? volumeName ?? name ?? JSON.stringify(item));
}

export async function allOf<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}
