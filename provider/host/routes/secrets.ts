import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { putSecretContent, secretId } from "../../client/wire/secrets";
import type { SecretRecord } from "../store/secretStore";
import type { RouteContext } from "./context";
import { linked } from "./paging";
import { dataPlaneGroup, groupOf } from "./request";

const collection = `${dataPlaneGroup}/secrets`;

/** Secrets of a group. Only `peek` answers values. */
export function secretRoutes(app: FastifyInstance, context: RouteContext): void {
  const { secrets } = context;

  app.get(collection, async (request) => {
    const { items, nextLink } = linked(request, secrets.list(groupOf(context, request)).map(secretView));
    return { secrets: items, nextLink };
  });

  app.put(`${collection}/:id`, async (request, reply) => {
    const [group, id] = groupAndNameOf(context, request);
    const { record, created } = secrets.put(group, id, putSecretContent.parse(request.body).values);
    return reply.code(created ? 201 : 200).send(secretView(record));
  });

  app.get(`${collection}/:id`, async (request) => secretView(secrets.get(...groupAndNameOf(context, request))));

  app.get(`${collection}/:id/keys`, async (request) => ({
    keys: secrets.get(...groupAndNameOf(context, request)).keys,
  }));

  app.post(`${collection}/:id/peek`, async (request, reply) => {
    const { record, values } = secrets.peek(...groupAndNameOf(context, request));
    return reply.header("cache-control", "no-store").send({ ...secretView(record), values });
  });

  app.delete(`${collection}/:id`, async (request, reply) => {
    secrets.delete(...groupAndNameOf(context, request));
    return reply.code(204).send();
  });
}

function groupAndNameOf(context: RouteContext, request: FastifyRequest): [group: string, id: string] {
  const { id } = z.object({ id: secretId }).parse(request.params);
  return [groupOf(context, request), id];
}

function secretView({ name, keys, createdAt, updatedAt }: SecretRecord): object {
  return { id: name, keys, createdAt, updatedAt };
}
