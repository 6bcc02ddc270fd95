import { z } from "zod";
import { diskImageView, megabytes } from "./diskImages";
import { labels, labelsView } from "./labels";
import { pageOf } from "./paging";

/** Body of `POST …/sandboxes/{id}/snapshot` and of `…/commit`; an SDK's name for it is the label `name`. */
export const createSnapshotContent = z.looseObject({ labels: labels.nullish() });
export interface CreateSnapshotContent {
  labels?: Record<string, string> | null;
}

const viewShape = {
  id: z.string(),
  labels: labelsView,
  /** It may be deleted since. */
  sandboxId: z.string().nullish(),
  createdAtUtc: z.string().nullish(),
  /** Sandboxes made from it have the same. */
  resources: z.looseObject({ cpu: z.string(), memory: z.string(), disk: z.string().nullish() }).nullish(),
  sizeInMB: megabytes,
};

/** A snapshot: memory, processes and files of a sandbox at one moment. */
export const snapshotView = z.looseObject(viewShape);
export type SnapshotView = z.output<z.ZodObject<typeof viewShape>>;
export const snapshotPage = pageOf(snapshotView);

/** Answer of `…/commit`: Azure wraps the image; a bare one reads the same. */
export const commitResult = z.preprocess(
  (body) => (body as { diskImage?: unknown } | null)?.diskImage ?? body,
  diskImageView,
);

/** Answer of `GET …/snapshots/count`. */
export const snapshotCount = z.number();
