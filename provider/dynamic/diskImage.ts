import { dynamicAdapter } from "../pulumi/dynamicAdapter";
import { diskImage } from "../resources/diskImage";
import { session } from "./session";

/** What the trampoline of `diskImage` forwards to; module `pulumi-sandboxes/dynamic/diskImage`. */
export const { configure, check, diff, create, read, update, delete: remove } = dynamicAdapter(diskImage, session);
export { remove as delete };
