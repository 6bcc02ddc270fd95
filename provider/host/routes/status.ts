import type { FastifyInstance } from "fastify";
import { z } from "zod";
import { SandboxesError } from "../../client/errors";
import { garbageContent } from "../../client/wire/garbage";
import type { RouteContext } from "./context";

const shutdownContent = z.looseObject({ stopSandboxes: z.boolean().optional() });

/** What is the host's own and not Azure's. `/healthz` needs no token. */
export function statusRoutes(app: FastifyInstance, context: RouteContext): void {
  app.get("/healthz", async () => ({ status: "ok" }));

  app.get("/status", async () => context.status.read());

  app.get("/metrics", async (_request, reply) =>
    reply.type("application/openmetrics-text; version=1.0.0; charset=utf-8").send(context.status.metrics()),
  );

  app.post("/gc", async (request) => {
    const { dryRun } = garbageContent.parse(request.body ?? {});
    return context.garbage.collect({ dryRun: dryRun ?? false });
  });

  app.post("/shutdown", async (request, reply) => {
    if (context.unixEndpoint === undefined) {
      throw new SandboxesError("Forbidden", "Only a user of the host's machine can end it, over its unix socket");
    }
    const { stopSandboxes } = shutdownContent.parse(request.body ?? {});
    context.shutDown({ stopSandboxes: stopSandboxes ?? false });
    return reply.code(202).send({ status: "stopping" });
  });
}
