import type { FastifyInstance } from "fastify";
import { isSandboxesError, SandboxesError } from "../../client/errors";
import { authorize } from "./authorize";
import { azureOnlyRoutes } from "./azureOnly";
import { backgroundRoutes } from "./background";
import type { RouteContext } from "./context";
import { diskImageRoutes } from "./diskImages";
import { egressRoutes } from "./egress";
import { execRoutes } from "./exec";
import { execStreamRoutes } from "./execStream";
import { fileRoutes } from "./files";
import { groupRoutes } from "./groups";
import { insightRoutes } from "./insights";
import { KnownRoutes } from "./knownRoutes";
import { operationRoutes } from "./operations";
import { portRoutes } from "./ports";
import { renderError } from "./renderError";
import { checkApiVersion, isCallersLeave } from "./request";
import { resourceGroupRoutes } from "./resourceGroups";
import { resourceProviderRoutes } from "./resourceProvider";
import { roleRoutes } from "./roles";
import { sandboxRoutes } from "./sandboxes";
import { secretRoutes } from "./secrets";
import { snapshotRoutes } from "./snapshots";
import { statusRoutes } from "./status";
import { volumeFileRoutes } from "./volumeFiles";
import { volumeRoutes } from "./volumes";
import { WebSockets } from "./webSockets";

/** All that the host answers. */
export function registerRoutes(app: FastifyInstance, context: RouteContext): void {
  app.addHook("onRequest", async (request, reply) => {
    reply.header("x-ms-request-id", request.id);
    const clientId = request.headers["x-ms-client-request-id"];
    if (typeof clientId === "string") reply.header("x-ms-client-request-id", clientId);
    if (request.routeOptions.url === "/healthz") return;
    authorize(context.token, request.headers.authorization);
    // Where there is nothing, no version helps.
    if (!request.is404) checkApiVersion(request);
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

  const known = new KnownRoutes();
  known.watch(app);
  app.setNotFoundHandler((request, reply) => {
    const path = request.url.split("?")[0] ?? "";
    const allowed = known.methodsAt(path);
    if (allowed.length === 0) throw new SandboxesError("NotFound", `There is nothing at ${request.method} ${path}`);
    reply.header("allow", allowed.join(", "));
    throw new SandboxesError(
      "Unsupported",
      `${request.method} is no method of this address: it takes ${allowed.join(", ")}`,
      {
        ...{ status: 405, serviceCode: "MethodNotAllowed" },
      },
    );
  });

  // Bodies are JSON whatever their Content-Type says, and an empty one is none: Azure's clients send all of it.
  const parseJson = app.getDefaultJsonParser("error", "error");
  app.removeAllContentTypeParsers();
  app.addContentTypeParser("*", { parseAs: "string" }, (request, body, done) => {
    if (body === "") return void done(null, undefined);
    void parseJson(request, body as string, (error, value) => {
      const wrong = new SandboxesError("Invalid", "The body of the request is not JSON", {
        serviceCode: "InvalidRequestContent",
      });
      done(error ? wrong : null, value);
    });
  });

  groupRoutes(app, context);
  operationRoutes(app, context);
  resourceProviderRoutes(app, context);
  resourceGroupRoutes(app, context);
  roleRoutes(app, context);
  diskImageRoutes(app, context);
  sandboxRoutes(app, context);
  snapshotRoutes(app, context);
  execRoutes(app, context);
  const webSockets = new WebSockets(app);
  execStreamRoutes(webSockets, context);
  insightRoutes(app, webSockets, context);
  fileRoutes(app, context);
  backgroundRoutes(app, context);
  portRoutes(app, context);
  egressRoutes(app, context);
  secretRoutes(app, context);
  volumeRoutes(app, context);
  volumeFileRoutes(app, context);
  statusRoutes(app, context);
  azureOnlyRoutes(app, context);
}

/** Enough to find the fault; causes and fields may hold a caller's data. */
function describe(error: unknown): string {
  return error instanceof Error ? (error.stack ?? error.message) : String(error);
}
