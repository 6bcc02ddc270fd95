import { homedir } from "node:os";
import { join } from "node:path";

/** Where things are kept that can be fetched or built again: kernels, hashes of large files. */
export function cacheDirectory(): string {
  return join(process.env.XDG_CACHE_HOME || join(homedir(), ".cache"), "pulumi-sandboxes");
}
