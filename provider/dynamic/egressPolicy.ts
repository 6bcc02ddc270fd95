import { dynamicAdapter } from "../pulumi/dynamicAdapter";
import { egressPolicy } from "../resources/egressPolicy";
import { session } from "./session";

/** What the trampoline of `egressPolicy` forwards to; module `pulumi-sandboxes/dynamic/egressPolicy`. */
export const { configure, check, diff, create, read, update, delete: remove } = dynamicAdapter(egressPolicy, session);
export { remove as delete };
