import { dynamicAdapter } from "../pulumi/dynamicAdapter";
import { sandboxGroup } from "../resources/sandboxGroup";
import { session } from "./session";

/** What the trampoline of `sandboxGroup` forwards to; module `pulumi-sandboxes/dynamic/sandboxGroup`. */
export const { configure, check, diff, create, read, update, delete: remove } = dynamicAdapter(sandboxGroup, session);
export { remove as delete };
