import { SandboxesError } from "../../client/errors";
import { sizeMiB, sizeQuantity } from "../../client/wire/quantities";
import type { PutVolumeContent } from "../../client/wire/volumes";
import type { VolumeRecord } from "../store/volumeStore";

/** Of a shared volume for which none was asked: Azure has none; a host's disk has an end. */
const defaultLimitMiB = 100 * 1024;
const maxLimitMiB = 64 * 2 ** 20;

/** What a volume is to be; throws `Unsupported` for what needs Azure's storage. */
export function readVolumeContent(
  name: string,
  body: PutVolumeContent,
): Pick<VolumeRecord, "type" | "size" | "limitBytes"> {
  const { type, size } = body;
  const refuse = (why: string, hint: string, field = "type") =>
    new SandboxesError("Unsupported", `Cannot make the volume "${name}": ${why}`, { field, hint });
  if (type !== "AzureBlob" && type !== "DataDisk") {
    throw refuse(
      `this host has no storage of type "${type}"`,
      "use AzureBlob for a directory that many sandboxes share, DataDisk for one sandbox at a time",
    );
  }
  for (const field of ["storageContainerResourceId", "auth"] as const) {
    if (body[field] !== undefined && body[field] !== null) {
      throw refuse(`"${field}" is for storage on Azure`, "leave it out: the host keeps the files itself", field);
    }
  }
  if (type === "DataDisk" && !size) {
    throw new SandboxesError("Invalid", `Cannot make the volume "${name}": a DataDisk needs a size`, { field: "size" });
  }
  return { type, size: size ?? undefined, limitBytes: limitMiB(name, size) * 2 ** 20 };
}

function limitMiB(name: string, size: string | null | undefined): number {
  if (!size) return defaultLimitMiB;
  const parsed = sizeQuantity.safeParse(size);
  const mebibytes = parsed.success ? sizeMiB(parsed.data) : 0;
  if (mebibytes > 0 && mebibytes <= maxLimitMiB) return mebibytes;
  throw new SandboxesError(
    "Invalid",
    `Cannot make the volume "${name}" with size "${size}": write "1Gi", at most 64Ti`,
    {
      field: "size",
    },
  );
}
