import { z } from "zod";
import { cpuQuantity, sizeQuantity } from "./quantities";

/** What an artifact of Azure's is opened with. */
export const artifactVersion = z.looseObject({ id: z.string(), auth: z.looseObject({ identity: z.string() }) });
export interface ArtifactVersion {
  id: string;
  auth: { identity: string };
}

/** A disk image, as sandboxes and their containers name one. */
export const diskImageSource = z.looseObject({
  id: z.string().nullish(),
  name: z.string().nullish(),
  isPublic: z.boolean().nullish(),
});

const container = z.looseObject({
  name: z.string(),
  diskImage: diskImageSource.nullish(),
  artifactVersion: artifactVersion.nullish(),
  /** Quantities are normalised. */
  resources: z
    .looseObject({ cpu: cpuQuantity.nullish(), memory: sizeQuantity.nullish(), disk: sizeQuantity.nullish() })
    .nullish(),
});
export type PodContainer = z.output<typeof container>;

/** Several containers in one sandbox. Azure only; everything but what names and sizes it passes as it is. */
export const podSource = z.looseObject({
  containers: z.array(container),
  volumes: z
    .array(
      z.looseObject({ name: z.string(), size: sizeQuantity.nullish(), fileCacheSizeLimit: sizeQuantity.nullish() }),
    )
    .nullish(),
  contentPackages: z.array(z.looseObject({ contentPackageId: z.string() })).nullish(),
});
export type PodSource = z.output<typeof podSource>;
