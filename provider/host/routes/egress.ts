import type { FastifyInstance, FastifyRequest } from "fastify";
import { z } from "zod";
import { egressPolicy, namedEgressPolicyContent } from "../../client/wire/egress";
import type { EgressDecision } from "../store/egressDecisionStore";
import type { EgressPolicyRecord } from "../store/egressPolicyStore";
import type { RouteContext } from "./context";
import { dataPlaneGroup, groupAndIdOf, groupOf, isNewer } from "./request";

const named = `${dataPlaneGroup}/egressPolicies`;
const ofSandbox = `${dataPlaneGroup}/sandboxes/:id`;
const policyParams = z.object({
  policyId: z.string().regex(/^[A-Za-z0-9](?:[A-Za-z0-9._-]{0,127})$/, "use letters, digits, dots, dashes"),
});

/** What may leave a sandbox, and what did. */
export function egressRoutes(app: FastifyInstance, context: RouteContext): void {
  const { egress, sandboxes } = context;

  app.post(`${ofSandbox}/egresspolicy`, async (request) =>
    egress.setPolicy(sandboxes.get(...groupAndIdOf(context, request)), egressPolicy.parse(request.body ?? {})),
  );

  const decisions = async (request: FastifyRequest) => {
    const { id } = sandboxes.get(...groupAndIdOf(context, request));
    const { allowed, denied, lastUpdated } = egress.decisions(id);
    const lists = { allowed: allowed.map(decisionView), denied: denied.map(decisionView) };
    // Each data plane has its own name for the same.
    return { networkEgress: lists, http: lists, lastUpdated };
  };
  app.get(`${ofSandbox}/egress-decisions`, decisions);
  app.get(`${ofSandbox}/egressDecisions`, decisions);

  app.get(named, async (request) => {
    const policies = egress.listNamed(groupOf(context, request)).map(policyView);
    return isNewer(request) ? { value: policies } : { egressPolicies: policies };
  });

  app.get(`${named}/:policyId`, async (request) => policyView(egress.getNamed(...groupAndPolicyOf(context, request))));

  app.put(`${named}/:policyId`, async (request, reply) => {
    const content = namedEgressPolicyContent.parse(request.body ?? {});
    const { record, created } = egress.putNamed(...groupAndPolicyOf(context, request), content);
    return reply.code(created ? 201 : 200).send(policyView(record));
  });

  app.delete(`${named}/:policyId`, async (request, reply) => {
    egress.deleteNamed(...groupAndPolicyOf(context, request));
    return reply.code(204).send();
  });
}

function groupAndPolicyOf(context: RouteContext, request: FastifyRequest): [group: string, policyId: string] {
  const group = groupOf(context, request);
  return [group, policyParams.parse(request.params).policyId];
}

function policyView({ name, policy, createdAt, updatedAt }: EgressPolicyRecord): object {
  return { name, ...policy, id: name, createdAt, updatedAt };
}

function decisionView({ timestamp, host, port, method, path, scheme, reason, enforced }: EgressDecision): object {
  return { timestamp, host, port, method, path, scheme, reason, enforced };
}
