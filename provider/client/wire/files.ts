import { z } from "zod";

const entryShape = {
  name: z.string(),
  /** Absolute. */
  path: z.string(),
  size: z
    .number()
    .nullish()
    .transform((value) => value ?? 0),
  /** Octal text, `0644`. */
  mode: z.string().nullish(),
  isDir: z.boolean().nullish(),
  isSymlink: z.boolean().nullish(),
  symlinkTarget: z.string().nullish(),
  modifiedTime: z.string().nullish(),
  /** What Azure's Python SDK reads instead of `isDir` and `modifiedTime`; a host writes both. */
  isDirectory: z.boolean().nullish(),
  modifiedAt: z.string().nullish(),
};

/** A file or directory as `…/files/stat` and `…/files/list` say it. */
export const fileEntryView = z.looseObject(entryShape);
export type FileEntryView = z.output<z.ZodObject<typeof entryShape>>;

export const fileListView = z.looseObject({ path: z.string().nullish(), entries: z.array(fileEntryView) });

/** Answer of writes and removals. */
export const fileResultView = z.looseObject({
  success: z.boolean().nullish(),
  error: z.string().nullish(),
  bytesWritten: z.number().nullish(),
});

/** `POST …/files/mkdir`; the path is in the body. */
export const mkdirContent = z.looseObject({
  path: z.string(),
  createParents: z.boolean().nullish(),
  mode: z.string().nullish(),
});
export interface MkdirContent {
  path: string;
  createParents?: boolean;
  mode?: string;
}

/** Octal permission bits, `0755` or `755`; 0 to 7777. */
export const fileMode = z
  .string()
  .regex(/^0?[0-7]{1,4}$/, 'write octal permission bits, "0644"')
  .transform((text) => Number.parseInt(text, 8));
