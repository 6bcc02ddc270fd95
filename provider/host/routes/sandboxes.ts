import type { FastifyInstance, FastifyRequest } from "fastify";
import { SandboxesError } from "../../client/errors";
import { createSandboxContent, lifecyclePolicy, updateSandboxContent } from "../../client/wire/sandboxes";
import type { SandboxRecord } from "../store/sandboxStore";
import type { RouteContext } from "./context";
import { page } from "./paging";
import { portViews } from "./ports";
import { replayed } from "./replay";
import { dataPlaneGroup, endpointOf, groupAndIdOf, groupOf, labelSelector, scopeOf } from "./request";

const collection = `${dataPlaneGroup}/sandboxes`;

/** The life of sandboxes. */
export function sandboxRoutes(app: FastifyInstance, context: RouteContext): void {
  const { sandboxes } = context;
  const view = (request: FastifyRequest, record: SandboxRecord) => sandboxView(context, request, record);

  const create = (status: number) =>
    replayed(context.replay, async (request) => {
      const group = context.groups.get(scopeOf(request));
      const body = createSandboxContent.parse(request.body);
      if (!body.sourcesRef && !body.presetSandboxType) {
        throw new SandboxesError("Invalid", "'sourcesRef' is required when not using a preset sandbox type", {
          field: "sourcesRef",
        });
      }
      const network = {
        ports: context.ports.declared(body.ports ?? []),
        ...context.egress.declared(group.key, body),
        volumes: context.volumes.declared(group.key, body),
      };
      const { ports, egressPolicy, egressPolicyId, volumes, ...rest } = body;
      const record = await sandboxes.create(group, { ...rest, sourcesRef: body.sourcesRef ?? {} }, network);
      return { status, body: view(request, await openPorts(context, record)) };
    });
  app.put(collection, create(200));
  app.post(collection, create(201));

  app.get(collection, async (request) => {
    const records = sandboxes.list(groupOf(context, request), labelSelector(request));
    return page(
      request,
      records.map((record) => view(request, record)),
    );
  });

  app.get(`${collection}/count`, async (request, reply) => {
    const count = sandboxes.list(groupOf(context, request), labelSelector(request)).length;
    return reply.type("application/json; charset=utf-8").send(String(count));
  });

  app.get(`${collection}/:id`, async (request) => view(request, sandboxes.get(...groupAndIdOf(context, request))));

  /** Extension. */
  app.patch(`${collection}/:id`, async (request) => {
    const [group, id] = groupAndIdOf(context, request);
    return view(request, sandboxes.update(group, id, updateSandboxContent.parse(request.body ?? {})));
  });

  app.delete(`${collection}/:id`, async (request, reply) => {
    const existed = await sandboxes.delete(...groupAndIdOf(context, request));
    return existed ? reply.code(200).send({}) : reply.code(204).send();
  });

  app.post(`${collection}/:id/stop`, async (request) =>
    snapshotView(await sandboxes.stop(...groupAndIdOf(context, request))),
  );

  app.post(`${collection}/:id/resume`, async (request) =>
    view(request, await sandboxes.resume(...groupAndIdOf(context, request))),
  );

  app.post(`${collection}/:id/disable`, async (request) =>
    view(request, await sandboxes.disable(...groupAndIdOf(context, request))),
  );

  app.post(`${collection}/:id/enable`, async (request) =>
    view(request, await sandboxes.enable(...groupAndIdOf(context, request))),
  );

  /** The sandbox, and beside its fields those of the policy: Azure answers the one, its Python SDK reads the other. */
  app.post(`${collection}/:id/lifecycle`, async (request) => {
    const policy = lifecyclePolicy.parse(request.body ?? {});
    const record = sandboxes.setLifecycle(...groupAndIdOf(context, request), policy);
    return { ...view(request, record), ...record.lifecycle };
  });

  app.get(`${collection}/:id/stats`, async (request) => context.stats.read(...groupAndIdOf(context, request)));
}

/** A sandbox whose ports cannot be opened is not what was asked for. */
async function openPorts({ ports, sandboxes }: RouteContext, record: SandboxRecord): Promise<SandboxRecord> {
  try {
    return await ports.open(record);
  } catch (error) {
    await sandboxes.delete(record.groupKey, record.id);
    throw error;
  }
}

function sandboxView(context: RouteContext, request: FastifyRequest, record: SandboxRecord): object {
  const { id, labels, sourcesRef, resources, createdAt, state, stateDetails, snapshotId, lifecycle, isolation } =
    record;
  return {
    id,
    labels,
    entrypoint: record.entrypoint ?? [],
    cmd: record.cmd ?? [],
    sourcesRef,
    resources,
    createdAt,
    state,
    stateDetails,
    snapshotId,
    coldStorageSizeInMB: record.coldStorageMiB,
    ports: portViews(context, request, record),
    connections: [],
    credentialRefs: [],
    egressPolicy: context.egress.policyOf(record),
    egressPolicyId: record.egressPolicyId,
    region: context.region,
    lifecycle,
    managementUrl: endpointOf(context, request),
    volumes: record.volumes ?? [],
    contentPackageDownloads: [],
    outboundIpAddresses: [],
    isolation,
  };
}

/** What Azure answers to a stop: an implicit snapshot, which no list shows. */
function snapshotView(record: SandboxRecord): object {
  return {
    id: record.snapshotId,
    labels: {},
    sandboxId: record.id,
    createdAtUtc: record.stateDetails?.stoppedAt?.replace("+00:00", "Z"),
    resources: record.resources,
    sizeInMB: record.coldStorageMiB,
  };
}
