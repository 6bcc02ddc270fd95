import { newerDataPlaneVersion } from "./wire/versions";

/** What differs between the two versions of the data plane, as one set of types is sent and read in either. */
export interface Dialect {
  apiVersion: string;
  /** Creates a sandbox or disk image. */
  createMethod: "PUT" | "POST";
  writeFileMethod: "PUT" | "POST";
  /** How a list continues: by the link in its answer, or by numbers asked for, since an array has no room for a link. */
  pages: "links" | "numbers";
  /** Last word of the path of what a sandbox's way out has decided. */
  egressDecisions: "egress-decisions" | "egressDecisions";
  /** What a sandbox's VNet connection is called. */
  vnetConnectionKey: "customerVnetConnectionName" | "vnetConnectionName";
  /** `source` instead of `image` when a disk image is made. */
  imageBySource: boolean;
}

/** The dialect of a data-plane version; versions that are not known are spoken to like the newer one. */
export function dialectOf(apiVersion: string): Dialect {
  const newer = apiVersion >= newerDataPlaneVersion;
  return {
    apiVersion,
    createMethod: newer ? "POST" : "PUT",
    writeFileMethod: newer ? "POST" : "PUT",
    pages: newer ? "links" : "numbers",
    egressDecisions: newer ? "egressDecisions" : "egress-decisions",
    vnetConnectionKey: newer ? "vnetConnectionName" : "customerVnetConnectionName",
    imageBySource: newer,
  };
}
