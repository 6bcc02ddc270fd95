import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { SandboxesError } from "../../client/errors";
import { guid } from "../../client/wire/identifiers";
import type { RoleAssignment } from "../store/roleAssignmentStore";
import type { RouteContext } from "./context";
import { armGroups, query } from "./request";

/** The role that Azure's users of sandboxes give themselves before they begin; its SDK's readme does. */
const dataOwner = { name: "c24cf47c-5077-412d-a19c-45202126392c", role: "Container Apps SandboxGroup Data Owner" };
const authorization = "/providers/Microsoft.Authorization";
const subscription = "/subscriptions/:subscriptionId";
const scopes = [subscription, `${subscription}/resourceGroups/:resourceGroup`, `${armGroups}/:group`];
const nameParams = z.object({ name: guid });
const assignmentPut = z.looseObject({
  properties: z.looseObject({
    roleDefinitionId: z.string(),
    principalId: z.string(),
    principalType: z.string().nullish(),
  }),
});

/**
 * Azure's roles, as far as they are about sandboxes. Assignments are kept and mean nothing more: the host's token may do
 * everything, whoever has it.
 */
export function roleRoutes(app: FastifyInstance, { roleAssignments }: RouteContext): void {
  for (const scope of scopes) {
    const definitions = `${scope}${authorization}/roleDefinitions`;
    app.get(definitions, async (request) => {
      const role = /roleName eq '([^']*)'/i.exec(query(request).$filter ?? "")?.[1];
      const wanted = role === undefined || role.toLowerCase() === dataOwner.role.toLowerCase();
      return { value: wanted ? [definitionView(request)] : [] };
    });
    app.get(`${definitions}/:name`, async (request) => {
      const { name } = nameParams.parse(request.params);
      if (name.toLowerCase() === dataOwner.name) return definitionView(request);
      throw notFound("RoleDefinitionDoesNotExist", `There is no role "${name}"`);
    });

    const assignments = `${scope}${authorization}/roleAssignments`;
    app.get(assignments, async (request) => {
      const principal = /principalId eq '([^']*)'/i.exec(query(request).$filter ?? "")?.[1];
      const found = roleAssignments.list(scopeOf(request));
      return { value: found.filter((each) => principal === undefined || each.principalId === principal).map(view) };
    });
    app.get(`${assignments}/:name`, async (request) => {
      const { name } = nameParams.parse(request.params);
      const found = roleAssignments.get(scopeOf(request), name);
      if (!found) throw notFound("RoleAssignmentNotFound", `There is no role assignment "${name}"`);
      return view(found);
    });
    app.put(`${assignments}/:name`, async (request, reply) => {
      const { name } = nameParams.parse(request.params);
      const { roleDefinitionId, principalId, principalType } = assignmentPut.parse(request.body).properties;
      if (!roleDefinitionId.toLowerCase().endsWith(`/${dataOwner.name}`)) {
        throw new SandboxesError("Unsupported", `This host knows no role but "${dataOwner.role}"`, {
          field: "properties.roleDefinitionId",
        });
      }
      const at = scopeOf(request);
      const old = roleAssignments.get(at, name);
      const isTwin = (each: RoleAssignment) =>
        each.scope.toLowerCase() === at.toLowerCase() && each.principalId === principalId && each.name !== name;
      if (roleAssignments.list(at).some(isTwin)) {
        throw new SandboxesError("Conflict", "The role assignment already exists", {
          serviceCode: "RoleAssignmentExists",
        });
      }
      const assignment = { scope: at, name, roleDefinitionId, principalId, principalType: principalType ?? undefined };
      roleAssignments.put(assignment);
      return reply.code(old ? 200 : 201).send(view(assignment));
    });
    app.delete(`${assignments}/:name`, async (request, reply) => {
      const { name } = nameParams.parse(request.params);
      const old = roleAssignments.get(scopeOf(request), name);
      roleAssignments.delete(scopeOf(request), name);
      return old ? view(old) : reply.code(204).send();
    });
  }
}

/** The part of the address before the provider of roles. */
function scopeOf(request: FastifyRequest): string {
  const path = decodeURIComponent(request.url.split("?")[0] ?? "").replace(/\/{2,}/g, "/");
  return path.slice(0, path.toLowerCase().lastIndexOf(authorization.toLowerCase()));
}

function definitionView(request: FastifyRequest): object {
  const { subscriptionId } = z.object({ subscriptionId: z.string() }).parse(request.params);
  return {
    id: `/subscriptions/${subscriptionId}${authorization}/roleDefinitions/${dataOwner.name}`,
    name: dataOwner.name,
    type: "Microsoft.Authorization/roleDefinitions",
    properties: {
      ...{ roleName: dataOwner.role, type: "BuiltInRole", description: "All that is in sandbox groups" },
      assignableScopes: ["/"],
      permissions: [
        { actions: [], notActions: [], dataActions: ["Microsoft.App/sandboxGroups/*"], notDataActions: [] },
      ],
    },
  };
}

function view({ scope, name, ...properties }: RoleAssignment): object {
  return {
    ...{
      id: `${scope}${authorization}/roleAssignments/${name}`,
      name,
      type: "Microsoft.Authorization/roleAssignments",
    },
    properties: { ...properties, scope },
  };
}

function notFound(serviceCode: string, message: string): SandboxesError {
  return new SandboxesError("NotFound", message, { serviceCode });
}
