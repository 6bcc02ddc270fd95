import type { FastifyInstance } from "fastify";
import { createSnapshotContent } from "../../client/wire/snapshots";
import { wholeMiB } from "../services/sandboxRecords";
import type { SnapshotRecord } from "../store/snapshotStore";
import type { RouteContext } from "./context";
import { diskImageView } from "./diskImages";
import { page } from "./paging";
import { replayed } from "./replay";
import { dataPlaneGroup, groupAndIdOf, groupOf, labelSelector } from "./request";

const collection = `${dataPlaneGroup}/snapshots`;
const sandbox = `${dataPlaneGroup}/sandboxes/:id`;

/** What is made of a sandbox and outlives it: snapshots of memory and files, disk images of files. */
export function snapshotRoutes(app: FastifyInstance, context: RouteContext): void {
  const { snapshots, commits } = context;

  app.post(
    `${sandbox}/snapshot`,
    replayed(context.replay, async (request) => {
      const { labels } = createSnapshotContent.parse(request.body ?? {});
      const record = await snapshots.create(...groupAndIdOf(context, request), labels ?? {});
      return { status: 200, body: snapshotView(record) };
    }),
  );

  app.post(
    `${sandbox}/commit`,
    replayed(context.replay, async (request) => {
      const { labels } = createSnapshotContent.parse(request.body ?? {});
      const record = await commits.create(...groupAndIdOf(context, request), labels ?? {});
      return { status: 200, body: { diskImage: diskImageView(record) } };
    }),
  );

  app.get(collection, async (request) =>
    page(request, snapshots.list(groupOf(context, request), labelSelector(request)).map(snapshotView)),
  );

  app.get(`${collection}/count`, async (request, reply) => {
    const count = snapshots.list(groupOf(context, request), labelSelector(request)).length;
    return reply.type("application/json; charset=utf-8").send(String(count));
  });

  app.get(`${collection}/:id`, async (request) => snapshotView(snapshots.get(...groupAndIdOf(context, request))));

  app.delete(`${collection}/:id`, async (request, reply) => {
    await snapshots.delete(...groupAndIdOf(context, request));
    return reply.code(204).send();
  });
}

function snapshotView(record: SnapshotRecord): object {
  const { id, labels, sandboxId, resources, createdAt, sizeBytes } = record;
  const createdAtUtc = createdAt.replace("+00:00", "Z");
  return { id, labels, sandboxId, createdAtUtc, resources, sizeInMB: wholeMiB(sizeBytes) };
}
