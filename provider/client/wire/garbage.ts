import { z } from "zod";

/** `POST /gc` of a self-hosted endpoint; Azure has none. */
export const garbageContent = z.looseObject({ dryRun: z.boolean().optional() });

const garbageItem = z.looseObject({
  /** An image nobody uses, a template nobody can or will clone, a download that was cut off. */
  kind: z.enum(["image", "template", "download"]),
  /** Digest of an image or of what was downloaded; key of a template. */
  id: z.string(),
  /** Reference of an image; why a template is of no use. */
  about: z.string().nullish(),
  /** What it takes on disk; of a template that machines still run from, once they have ended. */
  sizeBytes: z.number(),
});
export type GarbageItem = z.output<typeof garbageItem>;

export const garbageView = z.looseObject({
  dryRun: z.boolean(),
  /** What was removed; with `dryRun` what would be. */
  items: z.array(garbageItem),
  /** Of all items together. */
  sizeBytes: z.number(),
});
export type GarbageView = z.output<typeof garbageView>;
