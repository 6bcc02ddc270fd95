import { z } from "zod";
import { canonical, isBag, type PropertyBag } from "./propertyBag";
import { unwrapSchema } from "./schema";

/**
 * The inputs that would declare what is there now, as far as the user had declared it: each input that was set gets its
 * live value, what was left to the service stays out. Maps are taken whole, so a label added by somebody else shows.
 * An input that the live object does not tell (write-only) keeps its old value; one that it tells as undefined is gone.
 */
export function projectLive(schema: z.ZodObject, live: PropertyBag, had: PropertyBag): PropertyBag {
  const projected: PropertyBag = {};
  for (const [key, field] of Object.entries(schema.shape)) {
    if (had[key] === undefined) continue;
    projected[key] = key in live ? projectValue(field as z.ZodType, live[key], had[key]) : had[key];
  }
  return canonical(projected) as PropertyBag;
}

function projectValue(field: z.ZodType, live: unknown, had: unknown): unknown {
  const inner = unwrapSchema(field);
  return inner instanceof z.ZodObject && isBag(live) && isBag(had)
    ? projectLive(inner, live, had)
    : (live ?? undefined);
}
