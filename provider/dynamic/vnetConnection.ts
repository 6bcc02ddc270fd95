import { dynamicAdapter } from "../pulumi/dynamicAdapter";
import { vnetConnection } from "../resources/vnetConnection";
import { session } from "./session";

/** What the trampoline of `vnetConnection` forwards to; module `pulumi-sandboxes/dynamic/vnetConnection`. */
export const { configure, check, diff, create, read, update, delete: remove } = dynamicAdapter(vnetConnection, session);
export { remove as delete };
