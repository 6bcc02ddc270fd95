import { dynamicAdapter } from "../pulumi/dynamicAdapter";
import { secret } from "../resources/secret";
import { session } from "./session";

/** What the trampoline of `secret` forwards to; module `pulumi-sandboxes/dynamic/secret`. */
export const { configure, check, diff, create, read, update, delete: remove } = dynamicAdapter(secret, session);
export { remove as delete };
