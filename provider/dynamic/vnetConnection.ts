import { dynamicAdapter } from "../pulumi/dynamicAdapter";
import { lazyResource } from "../pulumi/lazyResource";
import { rules } from "../resources/rules";
import { session } from "./session";

const resource = lazyResource(
  rules.VnetConnection,
  async () => (await import("../resources/vnetConnection.js")).vnetConnection,
);

/** What the trampoline of `vnetConnection` forwards to; module `pulumi-sandboxes/dynamic/vnetConnection`. */
export const { configure, check, diff, create, read, update, delete: remove } = dynamicAdapter(resource, session);
export { remove as delete };
