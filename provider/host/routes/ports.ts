import type { FastifyInstance, FastifyRequest } from "fastify";
import { createPort, patchPort, removePort, replacePorts } from "../../client/wire/ports";
import type { SandboxRecord } from "../store/sandboxStore";
import type { RouteContext } from "./context";
import { dataPlaneGroup, groupAndIdOf } from "./request";

const collection = `${dataPlaneGroup}/sandboxes/:id/ports`;

/** Ports of a sandbox, each with the address at which the host forwards to it. */
export function portRoutes(app: FastifyInstance, context: RouteContext): void {
  const { ports, sandboxes } = context;
  const recordOf = (request: FastifyRequest) => sandboxes.get(...groupAndIdOf(context, request));
  const view = (request: FastifyRequest, record: SandboxRecord) => ({ ports: portViews(context, request, record) });

  app.get(collection, async (request) => view(request, recordOf(request)));

  app.put(collection, async (request) =>
    view(request, await ports.replace(recordOf(request), replacePorts.parse(request.body).ports)),
  );

  app.patch(collection, async (request) =>
    view(request, await ports.patch(recordOf(request), patchPort.parse(request.body))),
  );

  app.post(`${collection}/add`, async (request) =>
    view(request, await ports.add(recordOf(request), createPort.parse(request.body))),
  );

  app.post(`${collection}/remove`, async (request) =>
    view(request, await ports.remove(recordOf(request), removePort.parse(request.body))),
  );
}

/** Addresses are built from the caller's own request: they may know this host by another name than it does. */
export function portViews(context: RouteContext, request: FastifyRequest, record: SandboxRecord): object[] {
  const origin = context.unixEndpoint === undefined ? `https://${hostNameOf(request)}` : "http://127.0.0.1";
  return (record.ports ?? []).map(({ hostPort, ...port }) => ({
    ...port,
    ...(hostPort === undefined ? {} : { url: `${origin}:${hostPort}`, hostPort }),
  }));
}

function hostNameOf(request: FastifyRequest): string {
  return request.host.replace(/:\d+$/, "") || "localhost";
}
