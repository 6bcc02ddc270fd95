import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { SandboxesError } from "../../client/errors";
import type { GroupRecord } from "../store/groupStore";
import type { RouteContext } from "./context";
import { renderError } from "./renderError";
import { query } from "./request";

const locations = "/subscriptions/:subscriptionId/providers/Microsoft.App/locations/:location";
const params = z.object({ subscriptionId: z.string(), operationId: z.string() });
/** Pollers of Azure's SDKs ask after 30 s where nothing is said. */
const askAgainSeconds = "1";

/**
 * ARM's long-running operations. Only deletions are: their answer is 202 and nothing else to Azure's generated clients.
 * An operation's id says what it is about, so it is known as long as anybody may ask.
 */
export function operationRoutes(app: FastifyInstance, context: RouteContext): void {
  const deletionOf = (request: FastifyRequest) => {
    const { subscriptionId, operationId } = params.parse(request.params);
    const key = Buffer.from(operationId, "base64url").toString("utf8");
    if (key.startsWith(`${subscriptionId}/`.toLowerCase())) return context.groups.deletion(key);
    throw new SandboxesError("NotFound", `There is no operation "${operationId}"`, {
      serviceCode: "OperationNotFound",
    });
  };

  app.get(`${locations}/operationStatuses/:operationId`, async (request, reply) => {
    const { status, error } = deletionOf(request);
    const { operationId } = params.parse(request.params);
    if (status === "InProgress") reply.header("retry-after", askAgainSeconds);
    return {
      id: request.url.split("?")[0],
      name: operationId,
      status,
      ...(status === "Failed" ? { error: (renderError(error, request).body as { error: object }).error } : {}),
    };
  });

  app.get(`${locations}/operationResults/:operationId`, async (request, reply) => {
    const { status, error } = deletionOf(request);
    if (status === "Failed") throw error;
    if (status === "Succeeded") return reply.code(204).send();
    return accepted(reply, request.url).send();
  });
}

/** The answer to a deletion that has begun; where its state can be read is in the headers. */
export function deletionAccepted(request: FastifyRequest, reply: FastifyReply, record: GroupRecord): FastifyReply {
  const { subscriptionId, location, key } = record;
  const place = encodeURIComponent(location.replaceAll(" ", "").toLowerCase());
  const of = (kind: string) =>
    `/subscriptions/${subscriptionId}/providers/Microsoft.App/locations/${place}/${kind}/${Buffer.from(key).toString("base64url")}` +
    `?api-version=${query(request)["api-version"]}`;
  reply.header("azure-asyncoperation", absolute(request, of("operationStatuses")));
  return accepted(reply, absolute(request, of("operationResults")));
}

function accepted(reply: FastifyReply, location: string): FastifyReply {
  return reply.code(202).header("location", location).header("retry-after", askAgainSeconds);
}

/** From the caller's own view of this host: their token goes there and nowhere else. */
function absolute(request: FastifyRequest, path: string): string {
  return new URL(path, `${request.protocol}://${request.host || "localhost"}`).href;
}
