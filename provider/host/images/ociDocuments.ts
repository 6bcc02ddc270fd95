import { z } from "zod";

/** `sha256:` and 64 hex digits: safe as a file name, and the only algorithm registries use. */
export const digestSchema = z.string().regex(/^sha256:[0-9a-f]{64}$/, "is not sha256: and 64 hex digits");

const platformSchema = z.object({ os: z.string(), architecture: z.string(), variant: z.string().optional() });

const descriptorSchema = z.object({
  mediaType: z.string().default(""),
  digest: digestSchema,
  size: z.number().int().nonnegative(),
  platform: platformSchema.nullish(),
  annotations: z.record(z.string(), z.string()).nullish(),
});

/** OCI index or Docker manifest list. */
export const indexSchema = z.object({ mediaType: z.string().optional(), manifests: z.array(descriptorSchema) });

/** OCI or Docker (schema 2) manifest. */
export const manifestSchema = z.object({
  mediaType: z.string().optional(),
  config: descriptorSchema,
  layers: z.array(descriptorSchema),
});

const stringMapSchema = z.record(z.string(), z.string()).nullish();
const stringsSchema = z.array(z.string()).nullish();

/** OCI or Docker image configuration, as far as a sandbox honours it. */
export const configSchema = z.object({
  architecture: z.string().default(""),
  os: z.string().default(""),
  config: z
    .object({
      Env: stringsSchema,
      Entrypoint: stringsSchema,
      Cmd: stringsSchema,
      WorkingDir: z.string().nullish(),
      User: z.string().nullish(),
      StopSignal: z.string().nullish(),
      Labels: stringMapSchema,
      ExposedPorts: z.record(z.string(), z.unknown()).nullish(),
    })
    .nullish(),
  rootfs: z.object({ type: z.literal("layers"), diff_ids: z.array(digestSchema) }),
});

export type Descriptor = z.infer<typeof descriptorSchema>;
export type OciIndex = z.infer<typeof indexSchema>;
export type OciManifest = z.infer<typeof manifestSchema>;
export type OciConfig = z.infer<typeof configSchema>;
