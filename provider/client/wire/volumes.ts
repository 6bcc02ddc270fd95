import { z } from "zod";
import { labels, labelsView } from "./labels";
import { pageOf } from "./paging";

/** A volume's name is the caller's; both of Azure's SDKs only want a path segment, we want one that is plain. */
export const volumeName = z
  .string()
  .regex(
    /^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,61}[A-Za-z0-9])?$/,
    "a volume's name has 1 to 63 letters, digits, dots, dashes and underscores, and begins and ends with one of the first two",
  );

/** `AzureBlob`: a directory for many sandboxes. `DataDisk`: for one at a time. A host has no other. */
export const volumeType = z.enum(["AzureBlob", "AzureBlobByo", "DataDisk", "AzureFileCifs", "AzureFileNfs", "Esan"]);
export type VolumeType = z.output<typeof volumeType>;

/** Of an `AzureBlobByo`: the group's identity that opens the container. */
const volumeAuth = z.looseObject({
  kind: z.string(),
  identity: z.looseObject({ kind: z.string(), resourceId: z.string().nullish() }),
});

const contentShape = {
  type: volumeType,
  /** `1Gi`; needed for a `DataDisk` and an `Esan`. Azure ignores it for `AzureBlob`, a host takes it as a limit. */
  size: z.string().nullish(),
  labels: labels.nullish(),
  /** Of an `AzureBlobByo`, which needs both. */
  storageContainerResourceId: z.string().nullish(),
  auth: volumeAuth.nullish(),
};

/** `PUT …/volumes/{name}`. */
export const putVolumeContent = z.looseObject(contentShape);
export interface PutVolumeContent {
  type: VolumeType;
  size?: string | null;
  labels?: Record<string, string> | null;
  storageContainerResourceId?: string | null;
  auth?: z.output<typeof volumeAuth> | null;
}

const viewShape = {
  volumeName: z.string(),
  type: z.string().nullish(),
  size: z.string().nullish(),
  labels: labelsView,
  storageContainerResourceId: z.string().nullish(),
  auth: volumeAuth.nullish(),
  /** Of an `Esan`: the redundancy that the service chose. */
  sku: z.string().nullish(),
  /** Quantities, `12Mi`. */
  usage: z.looseObject({ used: z.string().nullish(), available: z.string().nullish() }).nullish(),
  /** A `DataDisk`: whether a sandbox has it. */
  isAttached: z.boolean().nullish(),
  attachedSandboxId: z.string().nullish(),
  /** `Provisioning`, `Succeeded`. */
  provisioningState: z.string().nullish(),
};

export const volumeView = z.looseObject(viewShape);
export type VolumeView = z.output<z.ZodObject<typeof viewShape>>;
export const volumePage = pageOf(volumeView);

/** `GET …/volumes/count`. */
export const volumeCounts = z.looseObject({
  counts: z.array(z.looseObject({ type: z.string(), count: z.number() })),
});

/** `POST …/volumes/{name}/fork`. */
export const forkVolumeContent = z.looseObject({ destinationVolumeName: volumeName, labels: labels.nullish() });

/** `GET …/volumes/{name}/files`. */
export const volumeItems = z.looseObject({
  path: z.string(),
  items: z.array(
    z.looseObject({
      itemName: z.string(),
      path: z.string(),
      isDirectory: z.boolean(),
      sizeBytes: z.number(),
      /** ISO 8601. */
      lastModifiedUtc: z.string(),
      contentType: z.string().nullish(),
      eTag: z.string().nullish(),
    }),
  ),
});

/** Where a volume is to be in a sandbox. */
export const mountpoint = z
  .string()
  .regex(/^\/(?!$)[^\0]*$/, "a mountpoint is an absolute path other than /")
  .refine(
    (path) => !path.split("/").some((part) => part === "." || part === ".."),
    "a mountpoint has no . or .. in it",
  );

/** A volume in a sandbox, in `volumes` at its creation and in its view. */
export const sandboxVolume = z.looseObject({
  volumeName: z.string(),
  mountpoint,
  readOnly: z.boolean().nullish(),
});
export interface SandboxVolume {
  volumeName: string;
  mountpoint: string;
  readOnly?: boolean | null;
}

/** `POST …/sandboxes/{id}/volumes/add`. */
export const addVolumeContent = z.looseObject({ volumeMount: sandboxVolume });
