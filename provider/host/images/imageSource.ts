import { openDockerArchive, resolveDockerArchive } from "./dockerArchive";
import type { PlaceReference } from "./imageReference";
import type { LayeredImage } from "./layeredImage";
import { openOciLayout, resolveOciLayout } from "./ociLayout";
import { openRootfsTar, resolveRootfsTar } from "./rootfsTar";
import type { SourceAccess } from "./sourceAccess";

export type { SourceAccess } from "./sourceAccess";

/** The digest a reference points to now. */
export async function resolveImageSource(reference: PlaceReference, access: SourceAccess): Promise<string> {
  switch (reference.kind) {
    case "registry":
      return (await registry()).resolveRegistryImage(reference, access);
    case "ociLayout":
      return resolveOciLayout(reference.path, reference.tag, access.limits);
    case "dockerArchive":
      return resolveDockerArchive(reference.path, reference.tag, access);
    case "rootfs":
      return resolveRootfsTar(reference.path, access.signal);
  }
}

/** Brings the image of that digest onto this machine, its layers unread. */
export async function openImageSource(
  reference: PlaceReference,
  digest: string,
  access: SourceAccess,
): Promise<LayeredImage> {
  switch (reference.kind) {
    case "registry":
      return (await registry()).pullRegistryImage(reference, digest, access);
    case "ociLayout":
      return openOciLayout(reference.path, reference.tag, access.limits);
    case "dockerArchive":
      return openDockerArchive(reference.path, reference.tag, access);
    case "rootfs":
      return openRootfsTar(reference.path, digest);
  }
}

/** Loaded when it is called for: the daemon starts without an HTTP client. */
function registry() {
  return import("./registry/registryImage.js");
}
