import { SandboxesError } from "../../client/errors";
import type { Descriptor, OciConfig, OciIndex } from "./ociDocuments";

/** What the guests are. */
const platform = { os: "linux", architecture: "amd64" } as const;

/** Options of skopeo, which reads docker archives, for the same choice. */
export const platformOptions = ["--override-os", platform.os, "--override-arch", platform.architecture];

/** The entry of an index for this host's guests; rejects with `ImageNotFound`, naming what there is instead. */
export function choosePlatform(what: string, index: OciIndex): Descriptor {
  const fitting = index.manifests.filter(
    (entry) => entry.platform?.os === platform.os && entry.platform.architecture === platform.architecture,
  );
  // A baseline image runs everywhere; variants (amd64/v3) ask for newer processors.
  const chosen = fitting.find((entry) => !entry.platform?.variant) ?? fitting[0];
  if (chosen) return chosen;
  const [only] = index.manifests;
  // Layouts written by hand leave the platform out; the image's configuration tells.
  if (only && index.manifests.length === 1 && !only.platform) return only;
  const offered = index.manifests.flatMap((entry) => {
    const { os, architecture } = entry.platform ?? {};
    return os && os !== "unknown" ? [`${os}/${architecture}`] : [];
  });
  throw new SandboxesError(
    "ImageNotFound",
    `${what} has no image for ${platform.os}/${platform.architecture}, only for ${offered.join(", ") || "nothing known"}`,
  );
}

/** Rejects with `ImageInvalid` an image that is for other machines. */
export function requirePlatform(what: string, config: OciConfig): void {
  const { os, architecture } = config;
  if ((os === "" || os === platform.os) && (architecture === "" || architecture === platform.architecture)) return;
  throw new SandboxesError(
    "ImageInvalid",
    `${what} is for ${os}/${architecture}; sandboxes run ${platform.os}/${platform.architecture}`,
  );
}
