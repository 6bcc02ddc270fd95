import { dynamicAdapter } from "../pulumi/dynamicAdapter";
import { lazyResource } from "../pulumi/lazyResource";
import { rules } from "../resources/rules";
import { session } from "./session";

const resource = lazyResource(
  rules.SandboxGroup,
  async () => (await import("../resources/sandboxGroup.js")).sandboxGroup,
);

/** What the trampoline of `sandboxGroup` forwards to; module `pulumi-sandboxes/dynamic/sandboxGroup`. */
export const { configure, check, diff, create, read, update, delete: remove } = dynamicAdapter(resource, session);
export { remove as delete };
