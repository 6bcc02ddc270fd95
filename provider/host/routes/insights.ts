import { setTimeout as sleep } from "node:timers/promises";
import type { FastifyInstance } from "fastify";
import type { WebSocket } from "ws";
import { z } from "zod";
import { isSandboxesError, SandboxesError } from "../../client/errors";
import { readProgramOutput } from "../services/programOutput";
import type { RouteContext } from "./context";
import { page } from "./paging";
import { dataPlaneGroup, groupAndIdOf, query } from "./request";
import { sendFrame, type WebSockets, watchPeer } from "./webSockets";

const sandbox = `${dataPlaneGroup}/sandboxes/:id`;
const processesEveryMs = 2_000;

const flag = z.stringbool({ case: "insensitive" });
const logQuery = z.looseObject({
  tailLines: z.coerce.number().int().nonnegative().optional(),
  follow: flag.default(true),
  // A number of Azure's whose meaning is not public: the frames are the same for each.
  logFormat: z.coerce.number().int().optional(),
});

/** What goes on in a sandbox: what its own program prints, and its processes. */
export function insightRoutes(app: FastifyInstance, webSockets: WebSockets, context: RouteContext): void {
  /** Frames are those of exec. */
  webSockets.route(`${sandbox}/logstream`, async (request) => {
    const [group, id] = groupAndIdOf(context, request);
    refuseContainer(query(request).containerName);
    const { tailLines, follow } = logQuery.parse(request.query);
    context.sandboxes.get(group, id);
    return serve(async (socket, signal) => {
      const wanted = { tailLines, follow, signal };
      for await (const { stream, data } of readProgramOutput(context, group, id, wanted)) {
        await sendFrame(socket, { type: stream, data: data.toString("base64") });
      }
    });
  });

  app.get(`${sandbox}/processes`, async (request) =>
    page(request, await context.processes.list(...groupAndIdOf(context, request))),
  );

  webSockets.route(`${sandbox}/processes/stream`, async (request) => {
    const [group, id] = groupAndIdOf(context, request);
    refuseContainer(query(request).containerName);
    await context.processes.list(group, id);
    return serve(async (socket, signal) => {
      while (!signal.aborted) {
        await sendFrame(socket, { type: "processes", processes: await context.processes.list(group, id) });
        await sleep(processesEveryMs, undefined, { signal }).catch(() => undefined); // The caller left.
      }
    });
  });
}

/** Runs `work` for a WebSocket's life; never rejects. */
function serve(work: (socket: WebSocket, gone: AbortSignal) => Promise<void>): (socket: WebSocket) => void {
  return (socket) => {
    const gone = new AbortController();
    socket.once("close", () => gone.abort());
    socket.on("error", () => socket.terminate()); // A broken frame or pipe; `close` follows.
    const stopPings = watchPeer(socket);
    const run = async () => {
      try {
        await work(socket, gone.signal);
        socket.close(1000);
      } catch (error) {
        if (gone.signal.aborted) return;
        const known = isSandboxesError(error) ? error : new SandboxesError("Internal", "The host failed unexpectedly");
        const frame = { type: "error", code: known.serviceCode, message: known.message };
        await sendFrame(socket, frame).catch(() => undefined); // Told or not, the connection ends here.
        socket.close(1011);
      } finally {
        stopPings();
      }
    };
    void run();
  };
}

function refuseContainer(name: string | undefined): void {
  if (!name) return;
  throw new SandboxesError("Unsupported", "A sandbox of this host has one container, which has no name", {
    field: "containerName",
    hint: "leave containerName out",
  });
}
