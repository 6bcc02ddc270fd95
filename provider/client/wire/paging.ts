import { z } from "zod";

/** One page: `{value, nextLink}` or, from the older data plane, a bare array. Reads to `{value, nextLink}`. */
export function pageOf<Item extends z.ZodType>(item: Item) {
  const page = z.looseObject({ value: z.array(item), nextLink: z.string().nullish() });
  return z
    .preprocess((body) => (Array.isArray(body) ? { value: body } : body), page)
    .transform(({ value, nextLink }) => ({ value, nextLink: nextLink ?? undefined }));
}
