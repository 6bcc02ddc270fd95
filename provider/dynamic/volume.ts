import { dynamicAdapter } from "../pulumi/dynamicAdapter";
import { volume } from "../resources/volume";
import { session } from "./session";

/** What the trampoline of `volume` forwards to; module `pulumi-sandboxes/dynamic/volume`. */
export const { configure, check, diff, create, read, update, delete: remove } = dynamicAdapter(volume, session);
export { remove as delete };
