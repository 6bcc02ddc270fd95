import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { groupPatch, groupPut } from "../../client/wire/groups";
import { groupName } from "../../client/wire/identifiers";
import { type GroupRecord, groupId, groupType } from "../store/groupStore";
import type { RouteContext } from "./context";
import { deletionAccepted } from "./operations";
import { armGroups, endpointOf, scopeOf } from "./request";

const listParams = z.object({ subscriptionId: z.string(), resourceGroup: z.string().optional() });

/** Sandbox groups, on ARM's paths. All but deletion is synchronous, which Azure's SDKs accept. */
export function groupRoutes(app: FastifyInstance, context: RouteContext): void {
  const { groups } = context;
  const view = (request: FastifyRequest, record: GroupRecord) => groupView(context, request, record);

  app.put(`${armGroups}/:group`, async (request, reply) => {
    z.object({ group: groupName }).parse(request.params);
    const { record, created } = groups.put(scopeOf(request), groupPut.parse(request.body));
    return reply.code(created ? 201 : 200).send(view(request, record));
  });

  // Not what GET would say: Resource Manager's clients know no other answer to "does it exist?".
  app.head(`${armGroups}/:group`, async (request, reply) => {
    groups.get(scopeOf(request));
    return reply.code(204).send();
  });
  app.get(`${armGroups}/:group`, async (request) => view(request, groups.get(scopeOf(request))));

  app.patch(`${armGroups}/:group`, async (request) =>
    view(request, groups.patch(scopeOf(request), groupPatch.parse(request.body ?? {}))),
  );

  app.delete(`${armGroups}/:group`, async (request, reply) => {
    const deleted = await groups.delete(scopeOf(request));
    return deleted ? deletionAccepted(request, reply, deleted).send() : reply.code(204).send();
  });

  const list = async (request: FastifyRequest) => {
    const { subscriptionId, resourceGroup } = listParams.parse(request.params);
    return { value: groups.list(subscriptionId, resourceGroup).map((record) => view(request, record)) };
  };
  app.get(armGroups, list);
  app.get("/subscriptions/:subscriptionId/providers/Microsoft.App/sandboxGroups", list);
}

function groupView(context: RouteContext, request: FastifyRequest, record: GroupRecord): object {
  const { name, location, tags, identity } = record;
  return {
    id: groupId(record),
    name,
    type: groupType,
    location,
    tags,
    identity,
    properties: {
      ...record.properties,
      provisioningState: "Succeeded",
      managementEndpoint: endpointOf(context, request),
      isolation: context.driver.capabilities.isolation,
    },
    systemData: { createdAt: record.createdAt, lastModifiedAt: record.updatedAt ?? record.createdAt },
  };
}
