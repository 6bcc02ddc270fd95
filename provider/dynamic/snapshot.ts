import { dynamicAdapter } from "../pulumi/dynamicAdapter";
import { lazyResource } from "../pulumi/lazyResource";
import { rules } from "../resources/rules";
import { session } from "./session";

const resource = lazyResource(rules.Snapshot, async () => (await import("../resources/snapshot.js")).snapshot);

/** What the trampoline of `snapshot` forwards to; module `pulumi-sandboxes/dynamic/snapshot`. */
export const { configure, check, diff, create, read, update, delete: remove } = dynamicAdapter(resource, session);
export { remove as delete };
