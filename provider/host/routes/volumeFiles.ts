import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import type { VolumeItem } from "../volumes/volumeAccess";
import type { RouteContext } from "./context";
import { sourceOf, withRawBodies } from "./rawBody";
import { dataPlaneGroup, flag } from "./request";
import { groupAndNameOf } from "./volumes";

const collection = `${dataPlaneGroup}/volumes/:name/files`;
const pathQuery = z.looseObject({ path: z.string().optional() });
const filePathQuery = z.looseObject({ path: z.string().min(1) });
const uploadQuery = filePathQuery.extend({ overwrite: flag });

/** Files of a volume without a sandbox that has it: to fill one, and to fetch what was left in it. */
export function volumeFileRoutes(app: FastifyInstance, context: RouteContext): void {
  const readable = (request: FastifyRequest) => context.volumes.filesOf(...groupAndNameOf(context, request));
  const writable = (request: FastifyRequest) => context.volumes.writableFilesOf(...groupAndNameOf(context, request));

  app.get(collection, async (request) => {
    const { path = "/" } = pathQuery.parse(request.query);
    return { path, items: (await readable(request).list(path)).map(itemView) };
  });

  app.get(`${collection}/download`, async (request, reply) => {
    const { item, content } = await readable(request).read(filePathQuery.parse(request.query).path);
    return reply.header("etag", item.etag).type("application/octet-stream").send(content);
  });

  app.post(`${collection}/mkdir`, async (request, reply) => {
    await writable(request).mkdir(filePathQuery.parse(request.query).path);
    return reply.code(201).send({ success: true });
  });

  app.delete(collection, async (request, reply) => {
    await writable(request).remove(filePathQuery.parse(request.query).path);
    return reply.code(204).send();
  });

  withRawBodies(app, (raw) => {
    const upload = async (request: FastifyRequest, reply: FastifyReply) => {
      const { path, overwrite } = uploadQuery.parse(request.query);
      const { "if-match": ifMatch, "if-none-match": ifNoneMatch } = request.headers;
      const item = await writable(request).write(path, sourceOf(request), { overwrite, ifMatch, ifNoneMatch });
      return reply.code(201).header("etag", item.etag).send(itemView(item));
    };
    raw.put(`${collection}/upload`, upload);
    raw.post(collection, upload);
  });
}

function itemView({ name, path, isDirectory, sizeBytes, modifiedMs, etag }: VolumeItem): object {
  return {
    itemName: name,
    path,
    isDirectory,
    sizeBytes: isDirectory ? 0 : sizeBytes,
    lastModifiedUtc: new Date(modifiedMs).toISOString(),
    contentType: isDirectory ? undefined : "application/octet-stream",
    eTag: etag,
  };
}
