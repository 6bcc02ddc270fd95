import { dynamicAdapter } from "../pulumi/dynamicAdapter";
import { lazyResource } from "../pulumi/lazyResource";
import { rules } from "../resources/rules";
import { session } from "./session";

const resource = lazyResource(rules.Sandbox, async () => (await import("../resources/sandbox.js")).sandbox);

/** What the trampoline of `sandbox` forwards to; module `pulumi-sandboxes/dynamic/sandbox`. */
export const { configure, check, diff, create, read, update, delete: remove } = dynamicAdapter(resource, session);
export { remove as delete };
