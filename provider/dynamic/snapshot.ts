import { dynamicAdapter } from "../pulumi/dynamicAdapter";
import { snapshot } from "../resources/snapshot";
import { session } from "./session";

/** What the trampoline of `snapshot` forwards to; module `pulumi-sandboxes/dynamic/snapshot`. */
export const { configure, check, diff, create, read, update, delete: remove } = dynamicAdapter(snapshot, session);
export { remove as delete };
