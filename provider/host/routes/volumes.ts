import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { addVolumeContent, forkVolumeContent, putVolumeContent, volumeName } from "../../client/wire/volumes";
import type { VolumeUse } from "../volumes/volumeService";
import type { RouteContext } from "./context";
import { page } from "./paging";
import { dataPlaneGroup, groupAndIdOf, groupOf, labelSelector } from "./request";

const collection = `${dataPlaneGroup}/volumes`;

/** Volumes of a group, and how a running sandbox gets one more. */
export function volumeRoutes(app: FastifyInstance, context: RouteContext): void {
  const { volumes, sandboxes } = context;

  app.get(collection, async (request) =>
    page(request, volumes.list(groupOf(context, request), labelSelector(request)).map(volumeView)),
  );

  app.get(`${collection}/count`, async (request) => ({ counts: volumes.count(groupOf(context, request)) }));

  app.put(`${collection}/:name`, async (request, reply) => {
    const [group, name] = groupAndNameOf(context, request);
    const { use, created } = await volumes.put(group, name, putVolumeContent.parse(request.body));
    return reply.code(created ? 201 : 200).send(volumeView(use));
  });

  app.get(`${collection}/:name`, async (request) => volumeView(volumes.get(...groupAndNameOf(context, request))));

  app.delete(`${collection}/:name`, async (request, reply) => {
    await volumes.delete(...groupAndNameOf(context, request));
    return reply.code(204).send();
  });

  app.post(`${collection}/:name/fork`, async (request, reply) => {
    const { destinationVolumeName: name, labels } = forkVolumeContent.parse(request.body);
    const use = await volumes.fork(...groupAndNameOf(context, request), { name, labels: labels ?? {} });
    return reply.code(201).send(volumeView(use));
  });

  app.post(`${dataPlaneGroup}/sandboxes/:id/volumes/add`, async (request, reply) => {
    const { volumeMount } = addVolumeContent.parse(request.body);
    const { record, vm } = await sandboxes.running(...groupAndIdOf(context, request));
    await volumes.add(record, vm.agent, volumeMount);
    return reply.code(204).send();
  });
}

export function groupAndNameOf(context: RouteContext, request: FastifyRequest): [group: string, name: string] {
  const { name } = z.object({ name: volumeName }).parse(request.params);
  return [groupOf(context, request), name];
}

function volumeView({ record, usedBytes, sandboxIds }: VolumeUse): object {
  const { name, type, size, limitBytes, labels, createdAt } = record;
  return {
    volumeName: name,
    type,
    size,
    labels,
    usage: { used: mebibytes(usedBytes), available: mebibytes(Math.max(0, limitBytes - usedBytes)) },
    isAttached: sandboxIds.length > 0,
    attachedSandboxId: type === "DataDisk" ? sandboxIds[0] : undefined,
    provisioningState: "Succeeded",
    createdAt,
  };
}

/** Rounded up to whole mebibytes: what is used is never told as nothing. */
function mebibytes(bytes: number): string {
  return `${Math.ceil(bytes / 2 ** 20)}Mi`;
}
