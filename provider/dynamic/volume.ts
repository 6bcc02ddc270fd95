import { dynamicAdapter } from "../pulumi/dynamicAdapter";
import { lazyResource } from "../pulumi/lazyResource";
import { rules } from "../resources/rules";
import { session } from "./session";

const resource = lazyResource(rules.Volume, async () => (await import("../resources/volume.js")).volume);

/** What the trampoline of `volume` forwards to; module `pulumi-sandboxes/dynamic/volume`. */
export const { configure, check, diff, create, read, update, delete: remove } = dynamicAdapter(resource, session);
export { remove as delete };
