import { z } from "zod";
import type { CreateSandboxContent, SandboxView } from "../client/wire/sandboxes";
import { definedOnly, isBag, type PropertyBag } from "../pulumi/propertyBag";
import { isSameArmId } from "./armIds";
import { asDeclared, listAsDeclared } from "./asDeclared";
import { contentPackageInput } from "./podInput";
import { telemetryInput } from "./telemetryInput";

const names = z.array(z.string().min(1)).refine((all) => new Set(all).size === all.length, "one stands here twice");

/** What ties a sandbox to other services of Azure. A change of any of it replaces the sandbox. */
export const azureServiceFields = {
  identitySettings: z
    .array(z.strictObject({ identity: z.string().min(1), lifecycle: z.enum(["None", "Main", "All"]).optional() }))
    .describe('identities of the group that programs get tokens of: [{identity: "system" or an ARM id, lifecycle}]')
    .optional(),
  agentIdentity: z
    .strictObject({ tenantId: z.string().min(1), agentId: z.string().min(1) })
    .describe("agent identity that is assigned to it: {tenantId, agentId}")
    .optional(),
  connections: names.describe("ids of connections of the group").optional(),
  gatewayConnections: names
    .describe("ARM ids of an AI gateway's MCP server configurations, or of a connector gateway's connections")
    .optional(),
  credentialRefs: names.describe("names of credentials of the group, for coding agents").optional(),
  contentPackageDownloads: z
    .array(contentPackageInput)
    .describe(
      "content packages of the group, and where their files are to be: [{contentPackageId, targetPath, action}]",
    )
    .optional(),
  telemetryConfig: telemetryInput.optional(),
  projectId: z.string().min(1).describe("project that it belongs to").optional(),
};

export const azureServiceNames = Object.keys(azureServiceFields);

type Services = z.output<z.ZodObject<typeof azureServiceFields>>;

/** For the wire. */
export function azureServiceContent(inputs: Services): Partial<CreateSandboxContent> {
  const { identitySettings, agentIdentity, connections, gatewayConnections, credentialRefs } = inputs;
  const { contentPackageDownloads, telemetryConfig, projectId } = inputs;
  return {
    ...{ identitySettings, agentIdentity, connections, credentialRefs },
    gatewayConnections: gatewayConnections?.map((resourceId) => ({ resourceId })),
    ...{ contentPackageDownloads, telemetryConfig, projectId },
  };
}

/** What a service tells of it, as declared while it is the same; not every view tells all, and none the telemetry. */
export function azureServiceInputs(view: SandboxView, state: PropertyBag): PropertyBag {
  const { agentIdentity, connections, gatewayConnections, credentialRefs, contentPackageDownloads } = view;
  const ids = gatewayConnections?.map(({ resourceId }) => resourceId);
  const placeOf = (each: { contentPackageId: string; targetPath: string }) =>
    JSON.stringify([each.contentPackageId, each.targetPath]);
  return definedOnly({
    identitySettings: identitiesOf(view, state.identitySettings),
    agentIdentity: agentIdentity ? asDeclared(state.agentIdentity, agentIdentity) : undefined,
    connections: listAsDeclared(state.connections, connections, (id) => id),
    gatewayConnections: listAsDeclared(state.gatewayConnections, ids, (id) => id),
    credentialRefs: listAsDeclared(state.credentialRefs, credentialRefs, (name) => name),
    contentPackageDownloads: listAsDeclared(state.contentPackageDownloads, contentPackageDownloads, placeOf),
  });
}

/** The identities as declared, while they are the same; not every view tells them. */
function identitiesOf({ identitySettings }: SandboxView, was: unknown): PropertyBag[] | undefined {
  if (!identitySettings) return undefined;
  const had = (Array.isArray(was) ? was : []).filter(isBag);
  return identitySettings.map(({ identity, lifecycle }) => {
    const same = had.find((each) => isSameArmId(String(each.identity), identity));
    const isSaid = same === undefined || same.lifecycle !== undefined;
    return definedOnly({ identity: String(same?.identity ?? identity), lifecycle: isSaid ? lifecycle : undefined });
  });
}
