import type { FastifyInstance } from "fastify";
import { SandboxesError } from "../../client/errors";
import { putVnetConnectionContent } from "../../client/wire/vnetConnections";
import type { RouteContext } from "./context";
import { page } from "./paging";
import { armGroups, dataPlaneGroup, groupAndIdOf, groupOf } from "./request";

/** What needs Azure around it. Lists are empty and say so; what would add to them is refused with the reason. */
const collections = {
  connections: "connectors are services of Azure, and this host can reach none on a sandbox's behalf",
  credentials: "they are for Azure's preset sandboxes; a secret and an egress rule give a sandbox a token",
  contentpackages: "Azure keeps and distributes them; make a disk image, or write files to a sandbox or volume",
};

/** The same within a sandbox. */
const actions = {
  "connections/add": collections.connections,
  downloadContentPackage: collections.contentpackages,
  containers: "a sandbox of this host is one container; its programs are told by processes and logstream",
  "containers/*": "a sandbox of this host is one container; its programs are told by processes and logstream",
  "podVolumes/add": "this host runs one container's file system per sandbox; use volumes/add",
};

/** Answers for what exists on Azure and cannot on one machine: 501, which no SDK repeats, with a reason. */
export function azureOnlyRoutes(app: FastifyInstance, context: RouteContext): void {
  const vnets = `${armGroups}/:group/vnetConnections`;

  app.get(vnets, async (request) => {
    groupOf(context, request);
    return { value: [] };
  });
  app.get(`${vnets}/:name`, async (request) => {
    groupOf(context, request);
    throw missing("VNet connection", request.params);
  });
  app.put(`${vnets}/:name`, async (request) => {
    groupOf(context, request);
    putVnetConnectionContent.parse(request.body);
    throw new SandboxesError(
      "Unsupported",
      "Cannot connect a group to a VNet: this host is one machine outside of Azure",
      {
        field: "properties.subnetId",
        hint: "leave the connection out; an egress policy decides what sandboxes reach through the host's own network",
      },
    );
  });
  app.delete(`${vnets}/:name`, async (request, reply) => {
    groupOf(context, request);
    return reply.code(204).send();
  });

  for (const [name, reason] of Object.entries(collections)) {
    const collection = `${dataPlaneGroup}/${name}`;
    app.get(collection, async (request) => {
      groupOf(context, request);
      return page(request, []);
    });
    app.get(`${collection}/:name`, async (request) => {
      groupOf(context, request);
      throw missing(name, request.params);
    });
    app.delete(`${collection}/:name`, async (request, reply) => {
      groupOf(context, request);
      return reply.code(204).send();
    });
    const refuse = async (request: Parameters<typeof groupOf>[1]) => {
      groupOf(context, request);
      throw new SandboxesError("Unsupported", `This host has no ${name}: ${reason}`);
    };
    for (const path of [collection, `${collection}/*`])
      app.route({ method: ["PUT", "POST", "PATCH"], url: path, handler: refuse });
  }

  for (const [name, reason] of Object.entries(actions)) {
    app.all(`${dataPlaneGroup}/sandboxes/:id/${name}`, async (request) => {
      context.sandboxes.get(...groupAndIdOf(context, request));
      throw new SandboxesError("Unsupported", `This host cannot do that: ${reason}`);
    });
  }
}

function missing(what: string, params: unknown): SandboxesError {
  return new SandboxesError(
    "NotFound",
    `There is no ${what} "${(params as { name: string }).name}": this host has none`,
    {
      serviceCode: "ResourceNotFound",
    },
  );
}
