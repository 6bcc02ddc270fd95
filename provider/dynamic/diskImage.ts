import { dynamicAdapter } from "../pulumi/dynamicAdapter";
import { lazyResource } from "../pulumi/lazyResource";
import { rules } from "../resources/rules";
import { session } from "./session";

const resource = lazyResource(rules.DiskImage, async () => (await import("../resources/diskImage.js")).diskImage);

/** What the trampoline of `diskImage` forwards to; module `pulumi-sandboxes/dynamic/diskImage`. */
export const { configure, check, diff, create, read, update, delete: remove } = dynamicAdapter(resource, session);
export { remove as delete };
