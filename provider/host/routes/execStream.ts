import type { RouteContext } from "./context";
import { serveExecStream } from "./execSession";
import { dataPlaneGroup, groupAndIdOf, query } from "./request";
import type { WebSockets } from "./webSockets";

/** Azure's streaming exec. */
export function execStreamRoutes(webSockets: WebSockets, context: RouteContext): void {
  webSockets.route(`${dataPlaneGroup}/sandboxes/:id/exec/stream`, async (request) => {
    const [group, id] = groupAndIdOf(context, request);
    await context.sandboxes.running(group, id);
    return (connection) => void serveExecStream(context, connection, { group, id, user: query(request).user });
  });
}
