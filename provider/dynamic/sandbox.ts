import { dynamicAdapter } from "../pulumi/dynamicAdapter";
import { sandbox } from "../resources/sandbox";
import { session } from "./session";

/** What the trampoline of `sandbox` forwards to; module `pulumi-sandboxes/dynamic/sandbox`. */
export const { configure, check, diff, create, read, update, delete: remove } = dynamicAdapter(sandbox, session);
export { remove as delete };
