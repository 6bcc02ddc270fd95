import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import type { RouteContext } from "./context";
import { armVersions } from "./request";

const namespace = "Microsoft.App";
const registration = "/subscriptions/:subscriptionId/providers/Microsoft.App";

/** What a group's role assignments on Azure can name; the host has one token, which may all of it. */
const operations = [
  ["sandboxGroups", "Sandbox Group", ["read", "write", "delete"]],
  ["sandboxGroups/vnetConnections", "VNet Connection", ["read", "write", "delete"]],
] as const;

/** What Azure Resource Manager tells of a resource provider; some of its clients ask before they do anything else. */
export function resourceProviderRoutes(app: FastifyInstance, context: RouteContext): void {
  app.get(`/providers/${namespace}/operations`, async () => ({
    value: operations.flatMap(([type, resource, actions]) =>
      actions.map((action) => ({
        name: `${namespace}/${type}/${action}`,
        isDataAction: false,
        display: { provider: namespace, resource, operation: action, description: `${action} ${resource}` },
        origin: "user,system",
      })),
    ),
  }));

  const provider = async (request: FastifyRequest) => {
    const { subscriptionId } = z.object({ subscriptionId: z.string() }).parse(request.params);
    const locations = [context.region];
    return {
      id: `/subscriptions/${subscriptionId}/providers/${namespace}`,
      namespace,
      registrationPolicy: "RegistrationFree",
      registrationState: "Registered",
      resourceTypes: operations.map(([resourceType]) => ({ resourceType, locations, apiVersions: armVersions })),
    };
  };
  app.get("/subscriptions/:subscriptionId/providers", async (request) => ({ value: [await provider(request)] }));
  app.get(registration, provider);
  app.post(`${registration}/register`, provider);
}
