import type { FastifyInstance, FastifyReply, FastifyRequest } from "fastify";
import { z } from "zod";
import { SandboxesError } from "../../client/errors";
import { type GroupRecord, groupId, groupType } from "../store/groupStore";
import type { RouteContext } from "./context";
import { deletionAccepted } from "./operations";
import { query } from "./request";

const subscription = "/subscriptions/:subscriptionId";
const resourceGroup = `${subscription}/resourceGroups/:resourceGroup`;
const params = z.object({ subscriptionId: z.string(), resourceGroup: z.string() });
const resourceGroupPut = z.looseObject({
  location: z.string().optional(),
  tags: z.record(z.string(), z.string()).nullish(),
});

/**
 * What Azure Resource Manager itself says of resource groups and what is in them: clients ask before they deploy, and clear
 * up by them. Here they are names, which need not exist: any can be read, those with sandbox groups are listed.
 */
export function resourceGroupRoutes(app: FastifyInstance, { groups, region }: RouteContext): void {
  const view = (subscriptionId: string, name: string) => ({
    id: `/subscriptions/${subscriptionId}/resourceGroups/${name}`,
    ...{ name, type: "Microsoft.Resources/resourceGroups", location: region, tags: {} },
    properties: { provisioningState: "Succeeded" },
  });
  const read = async (request: FastifyRequest) => {
    const scope = params.parse(request.params);
    const [inside] = groups.list(scope.subscriptionId, scope.resourceGroup);
    return view(inside?.subscriptionId ?? scope.subscriptionId, inside?.resourceGroup ?? scope.resourceGroup);
  };

  app.head(resourceGroup, async (_request, reply: FastifyReply) => reply.code(204).send());
  app.get(resourceGroup, read);
  app.put(resourceGroup, async (request) => {
    const { tags } = resourceGroupPut.parse(request.body ?? {});
    if (Object.keys(tags ?? {}).length > 0) {
      throw new SandboxesError("Unsupported", "Resource groups are names on this host, which cannot have tags", {
        ...{ field: "tags", serviceCode: "NotSupported" },
      });
    }
    return read(request);
  });
  app.delete(resourceGroup, async (request, reply) => {
    const { subscriptionId, resourceGroup: name } = params.parse(request.params);
    const inside = groups.list(subscriptionId, name);
    await Promise.all(
      inside.map((record) => groups.delete({ subscriptionId, resourceGroup: name, group: record.name })),
    );
    const last = inside.findLast(({ key }) => groups.deletion(key).status !== "Succeeded");
    return last ? deletionAccepted(request, reply, last).send() : reply.code(200).send();
  });
  app.get(`${subscription}/resourceGroups`, async (request) => {
    const { subscriptionId } = params.pick({ subscriptionId: true }).parse(request.params);
    const names = new Map(groups.list(subscriptionId).map((each) => [each.resourceGroup.toLowerCase(), each]));
    return { value: [...names.values()].map((each) => view(each.subscriptionId, each.resourceGroup)) };
  });

  const resources = async (request: FastifyRequest) => {
    const { subscriptionId, resourceGroup: name } = params.partial({ resourceGroup: true }).parse(request.params);
    const wanted = resourceFilter(query(request).$filter);
    const top = z.coerce.number().int().positive().optional().parse(query(request).$top);
    return { value: groups.list(subscriptionId, name).filter(wanted).slice(0, top).map(resourceOf) };
  };
  app.get(`${subscription}/resources`, resources);
  app.get(`${resourceGroup}/resources`, resources);
}

/** Any resource, as Resource Manager lists it: without its properties. */
function resourceOf(record: GroupRecord): object {
  const { name, location, tags, identity } = record;
  return { id: groupId(record), name, type: groupType, location, tags, identity };
}

/** Of Azure's filter language what its clients write: equalities, joined by `and`. */
function resourceFilter(text = ""): (record: GroupRecord) => boolean {
  const wanted = text.trim() === "" ? [] : text.split(/\s+and\s+/i).map(equality);
  const tagName = wanted.find(([field]) => field === "tagname")?.[1];
  return (record) => {
    const { name, location, resourceGroup: group, tags } = record;
    const tag = Object.entries(tags).find(([key]) => key.toLowerCase() === tagName);
    const found: Record<string, string | undefined> = {
      ...{ name, location, resourcegroup: group, resourcetype: groupType, tagname: tag?.[0], tagvalue: tag?.[1] },
    };
    return wanted.every(([field, value]) => found[field]?.toLowerCase() === value);
  };
}

const fields = ["name", "location", "resourcegroup", "resourcetype", "tagname", "tagvalue"];

function equality(text: string): [field: string, value: string] {
  const [, field = "", value = ""] = /^\s*(\w+)\s+eq\s+'((?:[^']|'')*)'\s*$/i.exec(text) ?? [];
  if (fields.includes(field.toLowerCase())) {
    return [field.toLowerCase(), value.replaceAll("''", "'").toLowerCase()];
  }
  throw new SandboxesError("Invalid", `Cannot filter by "${text}": write NAME eq 'VALUE', joined by and`, {
    ...{ field: "$filter", serviceCode: "InvalidFilterInQueryString" },
  });
}
