import type { FastifyInstance } from "fastify";
import { isSandboxesError, SandboxesError } from "../../client/errors";
import { authorize } from "./authorize";
import { azureOnlyRoutes } from "./azureOnly";
import type { RouteContext } from "./context";
import { diskImageRoutes } from "./diskImages";
import { egressRoutes } from "./egress";
import { execRoutes } from "./exec";
import { execStreamRoutes } from "./execStream";
import { fileRoutes } from "./files";
import { groupRoutes } from "./groups";
import { notServedRoutes } from "./notServed";
import { operationRoutes } from "./operations";
import { portRoutes } from "./ports";
import { renderError } from "./renderError";
import { checkApiVersion, isCallersLeave } from "./request";
import { sandboxRoutes } from "./sandboxes";
import { secretRoutes } from "./secrets";
import { snapshotRoutes } from "./snapshots";
import { statusRoutes } from "./status";
import { volumeFileRoutes } from "./volumeFiles";
import { volumeRoutes } from "./volumes";

/** All that the host answers. */
export function registerRoutes(app: FastifyInstance, context: RouteContext): void {
  app.addHook("onRequest", async (request, reply) => {
    reply.header("x-ms-request-id", request.id);
    const clientId = request.headers["x-ms-client-request-id"];
    if (typeof clientId === "string") reply.header("x-ms-client-request-id", clientId);
    if (request.routeOptions.url === "/healthz") return;
    authorize(context.token, request.headers.authorization);
    checkApiVersion(request);
  });

  app.setErrorHandler((error, request, reply) => {
    const rendered = renderError(error, request);
    if (isCallersLeave(error, reply)) request.log.info("the caller left before the answer");
    else if (rendered.unexpected) request.log.error({ error: describe(error) }, "request failed unexpectedly");
    // What the host itself could not do; what callers did wrong is theirs to read, and may hold their data.
    else if (rendered.status >= 500 && isSandboxesError(error)) {
      request.log.warn({ code: error.code, reason: error.message }, "request could not be fulfilled");
    }
    return reply.code(rendered.status).headers(rendered.headers).send(rendered.body);
  });

  app.setNotFoundHandler((request) => {
    throw new SandboxesError("NotFound", `There is nothing at ${request.method} ${request.url.split("?")[0]}`);
  });

  // An empty body is an empty object, whatever its Content-Type: Azure's SDKs send both.
  app.removeContentTypeParser("application/json");
  app.addContentTypeParser("application/json", { parseAs: "string" }, (request, body, done) => {
    if (body === "") done(null, undefined);
    else app.getDefaultJsonParser("error", "error")(request, body as string, done);
  });

  groupRoutes(app, context);
  operationRoutes(app, context);
  diskImageRoutes(app, context);
  sandboxRoutes(app, context);
  snapshotRoutes(app, context);
  execRoutes(app, context);
  execStreamRoutes(app, context);
  fileRoutes(app, context);
  portRoutes(app, context);
  egressRoutes(app, context);
  secretRoutes(app, context);
  volumeRoutes(app, context);
  volumeFileRoutes(app, context);
  statusRoutes(app, context);
  azureOnlyRoutes(app, context);
  notServedRoutes(app);
}

/** Enough to find the fault; causes and fields may hold a caller's data. */
function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
