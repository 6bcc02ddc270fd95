import { Session } from "../pulumi/session";

/**
 * The one session of this process: Pulumi runs all dynamic resources of a stack in one. The client, with HTTP and
 * credentials, is loaded when something is asked of the API: checks and diffs alone, most of a `pulumi up`, need none.
 */
export const session = new Session(async (...call) => (await import("../pulumi/openApi.js")).openApi(...call));
