import { dynamicAdapter } from "../pulumi/dynamicAdapter";
import { lazyResource } from "../pulumi/lazyResource";
import { rules } from "../resources/rules";
import { session } from "./session";

const resource = lazyResource(
  rules.EgressPolicy,
  async () => (await import("../resources/egressPolicy.js")).egressPolicy,
);

/** What the trampoline of `egressPolicy` forwards to; module `pulumi-sandboxes/dynamic/egressPolicy`. */
export const { configure, check, diff, create, read, update, delete: remove } = dynamicAdapter(resource, session);
export { remove as delete };
