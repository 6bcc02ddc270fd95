import { openApi } from "../pulumi/openApi";
import { Session } from "../pulumi/session";

/** The one session of this process: Pulumi runs all dynamic resources of a stack in one. */
export const session = new Session(openApi);
