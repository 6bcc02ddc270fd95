import type { z } from "zod";
import type { HttpClient, HttpRequest } from "./http";

interface Page<Item> {
  value: Item[];
  nextLink: string | undefined;
}

/**
 * All items of a paged list. Of a next link only path and query are used: the token goes to the configured endpoint
 * and nowhere else.
 */
export async function* eachOf<Item>(
  http: HttpClient,
  schema: z.ZodType<Page<Item>>,
  request: HttpRequest,
): AsyncGenerator<Item> {
  let next: HttpRequest | undefined = request;
  while (next) {
    const page: Page<Item> = await http.json(schema, next);
    yield* page.value;
    next = page.nextLink ? { ...request, path: pathOf(page.nextLink), query: undefined } : undefined;
  }
}

export async function allOf<Item>(items: AsyncIterable<Item>): Promise<Item[]> {
  const all: Item[] = [];
  for await (const item of items) all.push(item);
  return all;
}

function pathOf(link: string): string {
  const url = new URL(link, "http://localhost");
  return url.pathname + url.search;
}
