import { z } from "zod";
import { labels, labelsView } from "./labels";
import { pageOf } from "./paging";

const argv = z.array(z.string());
const registryCredentials = z.looseObject({ username: z.string(), token: z.string() });

const olderShape = {
  name: z.string().optional(),
  labels: labels.optional(),
  image: z.looseObject({
    /** A catalogue name, a registry reference, or (unix socket only) `oci:`, `docker-archive:`, `rootfs:` and a path. */
    base: z.string().min(1),
    entrypoint: argv.nullish(),
    cmd: argv.nullish(),
  }),
  registryCredentials: registryCredentials.nullish(),
  managedIdentityResourceId: z.string().nullish(),
};

const newerShape = {
  name: z.string().optional(),
  labels: labels.optional(),
  source: z.looseObject({
    /** `registry`; Azure also has `blob`. */
    kind: z.string(),
    imageUrl: z.string().min(1),
    /** Extensions. */
    entrypoint: argv.nullish(),
    cmd: argv.nullish(),
    authentication: z.looseObject({ registryCredentials: registryCredentials.nullish() }).nullish(),
  }),
};

/** Body of the older data plane, `PUT …/diskimages`; what this client sends. */
export const createDiskImageContent = z.looseObject(olderShape);
export type CreateDiskImageContent = z.input<z.ZodObject<typeof olderShape>>;

/** What only Azure can make an image of, or pull it by. */
export interface ImageFromAzure {
  /** Who pulls: `system` is the group's own identity, all else the ARM id of a user-assigned one. */
  identity?: string;
  /** Address in blob storage, in place of the image's reference. */
  blob?: string;
  /** Connection of the group through which the source is reached. The newer data plane's only. */
  vnetConnectionName?: string;
}

/**
 * The same in the words of the newer data plane, `POST …/diskimages`. It has none for the program that an image starts:
 * those keys pass through, for a host that knows them.
 */
export function newerCreateContent(content: CreateDiskImageContent & ImageFromAzure): Record<string, unknown> {
  const { image, registryCredentials, managedIdentityResourceId, identity, blob, ...rest } = content;
  const { base, ...program } = image;
  if (blob !== undefined) return { ...rest, source: { kind: "blob", blobSourceUri: blob } };
  const authentication = registryCredentials
    ? { registryCredentials }
    : authenticationBy(identity ?? managedIdentityResourceId ?? undefined);
  return { ...rest, source: { kind: "registry", imageUrl: base, authentication, ...program } };
}

function authenticationBy(identity: string | undefined): object | undefined {
  if (identity === undefined) return undefined;
  const isSystem = identity === "system";
  return { identity: isSystem ? { type: "SystemAssigned" } : { type: "UserAssigned", identityResourceId: identity } };
}

/** Either version's body, read to the older form. */
export const anyCreateDiskImageContent = z.union([
  createDiskImageContent,
  z.looseObject(newerShape).transform(({ source, ...body }) => ({
    ...body,
    image: { base: source.imageUrl, entrypoint: source.entrypoint, cmd: source.cmd },
    registryCredentials: source.authentication?.registryCredentials,
    managedIdentityResourceId: undefined,
  })),
]);

/** Sizes: a string in Azure's API description, a number on its wire. */
export const megabytes = z.union([z.number(), z.string().transform(Number)]).nullish();

const imageConfigView = z.looseObject({
  env: z.record(z.string(), z.string()).nullish(),
  entrypoint: argv.nullish(),
  cmd: argv.nullish(),
  workingDirectory: z.string().nullish(),
  user: z.string().nullish(),
  /** Told only: a sandbox is saved or ended as a machine, its programs are sent nothing. */
  stopSignal: z.string().nullish(),
  labels: z.record(z.string(), z.string()).nullish(),
  exposedPorts: z.array(z.number()).nullish(),
});

const diskImageViewShape = {
  id: z.string(),
  name: z.string().nullish(),
  labels: labelsView,
  image: z
    .looseObject({
      base: z.string().nullish(),
      entrypoint: argv.nullish(),
      cmd: argv.nullish(),
      /** Extension: `sha256:…` that the reference pointed to at the import. */
      digest: z.string().nullish(),
      /** Extension: what the image itself says of its process. */
      config: imageConfigView.nullish(),
    })
    .nullish()
    .transform((value) => value ?? {}),
  status: z.looseObject({
    /** `Building`, then `Ready` (or `Succeeded`) or `Failed`. */
    state: z.string(),
    /** Read by Azure's Python SDK; the same text as `errorMessage`. While building, extension: what it is doing. */
    message: z.string().nullish(),
    errorMessage: z.string().nullish(),
    /** Extension: the wire name of the error that made it fail, `RegistryFailed`. */
    errorCode: z.string().nullish(),
    createdAt: z.string().nullish(),
    updatedAt: z.string().nullish(),
  }),
  sizeInMB: megabytes,
};

export const diskImageView = z.looseObject(diskImageViewShape);
export type DiskImageView = z.output<z.ZodObject<typeof diskImageViewShape>>;
export const diskImagePage = pageOf(diskImageView);

const publicImageShape = {
  /** Catalogue name, `python`. */
  name: z.string(),
  id: z.string().nullish(),
  description: z.string().nullish(),
  status: z.looseObject({ state: z.string() }).nullish(),
  tags: z.unknown().optional(),
};

/** An entry of `GET …/diskimages/public`. */
export const publicImageView = z.looseObject(publicImageShape);
export type PublicImageView = z.output<z.ZodObject<typeof publicImageShape>>;
export const publicImagePage = pageOf(publicImageView);
