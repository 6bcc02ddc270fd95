import { dynamicAdapter } from "../pulumi/dynamicAdapter";
import { lazyResource } from "../pulumi/lazyResource";
import { rules } from "../resources/rules";
import { session } from "./session";

const resource = lazyResource(rules.Secret, async () => (await import("../resources/secret.js")).secret);

/** What the trampoline of `secret` forwards to; module `pulumi-sandboxes/dynamic/secret`. */
export const { configure, check, diff, create, read, update, delete: remove } = dynamicAdapter(resource, session);
export { remove as delete };
