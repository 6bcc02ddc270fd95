import { z } from "zod";

/** One page: `{value, nextLink}` or, from the older data plane, a bare array. Reads to `{value, nextLink}`. */
export function pageOf<Item extends z.ZodType>(item: Item) {
  const wrapped = z.looseObject({ value: z.array(item), nextLink: z.string().nullish() });
  return z.union([z.array(item).transform((value) => ({ value, nextLink: undefined })), wrapped]).transform((page) => ({
    value: page.value as z.output<Item>[],
    nextLink: page.nextLink ?? undefined,
  }));
}
