import { randomBytes } from "node:crypto";
import { z } from "zod";
import { SandboxesError } from "../client/errors";
import { isMissing } from "../client/failures";
import type { GroupEnvironment } from "../client/groups";
import type { SandboxApi } from "../client/sandboxApi";
import { type GroupPut, type GroupView, isolation } from "../client/wire/groups";
import { groupName } from "../client/wire/identifiers";
import { type Context, defineResource } from "../pulumi/defineResource";
import { InitFailed } from "../pulumi/initFailed";
import type { PropertyBag } from "../pulumi/propertyBag";
import { targets } from "../pulumi/providerConfig";
import { adoptOrCreate } from "./adoption";
import { azureFailures, sameRegion } from "./azureGroup";
import { identityContent, identityInput, identityInputs, isSameIdentity } from "./groupIdentity";
import { type GroupRef, groupIdOf, readGroupId } from "./ids";
import { keepOwnLabels, keyInput, keyLabel, labelsInput, ownLabels, userLabels } from "./ownLabels";
import { rules } from "./rules";
import { targetParity } from "./targetParity";

export const sandboxGroupInputs = z.strictObject({
  name: groupName
    .describe("1 to 63 letters, digits and inner dashes; by default made from the resource's name")
    .optional(),
  location: z
    .string()
    .min(1)
    .describe("region, by default the configured one; the embedded host's is local")
    .optional(),
  tags: labelsInput.describe("texts by name").optional(),
  requireHardwareIsolation: z
    .boolean()
    .describe("refuse a host that can only emulate virtual machines; default false")
    .default(false),
  resourceGroupName: z
    .string()
    .min(1)
    .describe("resource group, by default the configured one; must exist on Azure")
    .optional(),
  identity: identityInput.optional(),
  environmentId: z
    .string()
    .min(1)
    .describe("ARM id of a managed environment; can be given later, and then neither changed nor taken away")
    .optional(),
  assignDataOwner: z
    .boolean()
    .describe("give whoever deploys the role to use what is in the group; default false")
    .optional(),
  target: z.enum(targets).describe("microvm or azure; by default the configured one").optional(),
  __key: keyInput,
  __logicalName: z.string().optional(),
});

const outputs = z.object({
  name: z.string().describe("the group's name, given or made"),
  location: z.string().describe("region"),
  managementEndpoint: z.string().optional().describe("address of the data plane"),
  provisioningState: z.string().optional().describe("Succeeded when usable"),
  isolation: isolation.optional().describe("what its sandboxes get: hardware, emulated (no security boundary) or none"),
  principalId: z.string().optional().describe("object id of the system-assigned identity"),
  tenantId: z.string().optional().describe("directory of the identity"),
  defaultDomain: z.string().optional().describe("parent domain of ports, with an environment"),
  roleAssignmentId: z.string().optional().describe("ARM id of the role assignment, where it is ours"),
});

/** A set of sandboxes, disk images and what they share; deleting it deletes all in it. */
export const sandboxGroup = defineResource({
  ...rules.SandboxGroup,
  token: "SandboxGroup",
  description: "A group of sandboxes and disk images.",
  inputs: sandboxGroupInputs,
  outputs,
  replaceOn: ["name", "location", "target", "resourceGroupName"],
  setOnce: ["environmentId"],
  parity: targetParity.SandboxGroup,
  checkTarget: (inputs, target, config) => (target === "azure" ? azureFailures(inputs, config) : []),
  deleteBeforeReplace: (olds, news) => news.name !== undefined && olds.name === news.name,

  async create(inputs, context) {
    const { name: given, location, tags = {}, requireHardwareIsolation, resourceGroupName, __key: key } = inputs;
    const { identity, environmentId } = inputs;
    const { session, fingerprint } = context;
    const api = await context.api({ resourceGroupName });
    const name = given ?? autoName(inputs.__logicalName ?? "group");
    const body = {
      location: location ?? session.config.location ?? "local",
      tags: { ...tags, ...ownLabels(key, fingerprint) },
      ...(identity && { identity: identityContent(identity) }),
      properties: { requireHardwareIsolation, environmentId },
    };
    let begun = name;
    try {
      const { view, adopted } = await adoptOrCreate<GroupView>({
        key,
        fingerprint,
        list: async () => (await api.groups.list()).filter((view) => view.properties.provisioningState !== "Deleting"),
        labelsOf: (view) => view.tags,
        isKnown: (view) => session.knownIds.has(idOf(api, view.name)),
        createdAt: () => undefined,
        isUsable: (view) => given === undefined || view.name === given,
        create: async () => {
          if (given !== undefined) await refuseForeign(api, given, key);
          return api.groups.put(name, body);
        },
        remove: (view) => removeEmpty(api, view.name),
      });
      begun = view.name;
      const group = adopted ? await bring(api, view, inputs, body) : view;
      const roleAssignmentId = inputs.assignDataOwner && (await api.groups.roleAssignments(begun).assignDataOwner());
      const more = { ...(await environmentOf(api, begun, inputs)), roleAssignmentId: roleAssignmentId || undefined };
      return { id: idOf(api, group.name), outputs: { ...outputsOf(group), ...more } };
    } catch (error) {
      // A group that is there although it did not become usable must not be forgotten.
      const left = await api.groups.get(begun).catch(() => undefined /* the first error tells more */);
      if (!left || !key || left.tags[keyLabel] !== key) throw error;
      throw new InitFailed(idOf(api, begun), outputsOf(left), String(error), error);
    }
  },

  async read(id, state, context) {
    const { api, groupName: name } = await open(id, context);
    const view = await api.groups.get(name);
    const { requireHardwareIsolation = false } = view.properties;
    const { environmentId, defaultDomain } = await environmentOf(api, name, state);
    const roleAssignmentId = await roleAssignmentOf(api, name, state);
    const isSame = typeof state.location === "string" && sameRegion(state.location, view.location);
    const inputs = {
      name: view.name,
      location: isSame ? String(state.location) : view.location,
      resourceGroupName: api.connection.resourceGroupName,
      tags: userLabels(view.tags),
      // Azure does not tell it, since it is never otherwise.
      ...(context.target === "microvm" && { requireHardwareIsolation }),
      identity: identityInputs(view.identity, state.identity),
      environmentId,
      // What somebody else assigned is not ours to watch.
      ...(state.roleAssignmentId !== undefined && { assignDataOwner: roleAssignmentId !== undefined }),
    };
    return { inputs, outputs: { ...outputsOf(view), location: inputs.location, defaultDomain, roleAssignmentId } };
  },

  async update(id, inputs, olds, context) {
    const { api, groupName: name } = await open(id, context);
    const view = await api.groups.get(name);
    const { requireHardwareIsolation } = inputs;
    const environmentId = inputs.environmentId === olds.environmentId ? undefined : inputs.environmentId;
    const { identity } = inputs;
    const body = {
      ...{ location: view.location, tags: view.tags, properties: { requireHardwareIsolation, environmentId } },
      ...((identity !== undefined || olds.identity !== undefined) && {
        identity: identityContent(identity, view.identity),
      }),
    };
    const group = await bring(api, view, inputs, body);
    const roles = api.groups.roleAssignments(name);
    let roleAssignmentId = typeof olds.roleAssignmentId === "string" ? olds.roleAssignmentId : undefined;
    if (inputs.assignDataOwner) {
      roleAssignmentId ??= await roles.assignDataOwner();
    } else if (roleAssignmentId) {
      await roles.delete(roleAssignmentId);
      roleAssignmentId = undefined;
    }
    const { defaultDomain } = await environmentOf(api, name, inputs);
    return { ...outputsOf(group), defaultDomain, roleAssignmentId };
  },

  async delete(id, { roleAssignmentId }, context) {
    const { api, groupName: name } = await open(id, context);
    // First: of a group that is gone nothing can be named any more.
    if (typeof roleAssignmentId === "string") await api.groups.roleAssignments(name).delete(roleAssignmentId);
    await api.groups.delete(name);
  },
});

type Inputs = z.output<typeof sandboxGroupInputs>;

async function open(id: string, context: Context): Promise<GroupRef & { api: SandboxApi }> {
  const ref = readGroupId(id);
  return { ...ref, api: await context.api(ref) };
}

/** Brings a group that exists to what is wanted; one that failed is put again, which is how Azure mends it. */
function bring(api: SandboxApi, view: GroupView, { tags = {}, identity }: Inputs, body: GroupPut): Promise<GroupView> {
  const all = { ...tags, ...keepOwnLabels(view.tags) };
  const { provisioningState: state = "Succeeded" } = view.properties;
  if (state === "Failed" || state === "Canceled") return api.groups.put(view.name, { ...body, tags: all });
  const changed = body.identity && !isSameIdentity(identity, view.identity) ? { identity: body.identity } : {};
  return api.groups.patch(view.name, { tags: all, properties: body.properties, ...changed });
}

/** Asked for only where one was declared: it takes a request of its own. */
async function environmentOf(
  api: SandboxApi,
  name: string,
  { environmentId }: { environmentId?: unknown },
): Promise<Partial<GroupEnvironment>> {
  return environmentId === undefined ? {} : api.groups.environment(name);
}

/** The assignment that the state knows, while it is there. */
async function roleAssignmentOf(api: SandboxApi, name: string, state: PropertyBag): Promise<string | undefined> {
  const { roleAssignmentId: id } = state;
  if (typeof id !== "string") return undefined;
  return (await api.groups.roleAssignments(name).exists(id)) ? id : undefined;
}

/** In our own spelling: ARM answers ids in any mixture of cases. */
function idOf({ connection }: SandboxApi, groupName: string): string {
  const { subscriptionId, resourceGroupName } = connection;
  return groupIdOf({ subscriptionId, resourceGroupName, groupName });
}

function outputsOf({ name, location, identity, properties }: GroupView): z.input<typeof outputs> {
  const { managementEndpoint, provisioningState, isolation } = properties;
  const who = { principalId: identity?.principalId ?? undefined, tenantId: identity?.tenantId ?? undefined };
  return { name, location, managementEndpoint, provisioningState, isolation, ...who };
}

/** `<logical name>-<7 hex>`, as Pulumi names things, within the service's rules. */
function autoName(logicalName: string): string {
  const stem = logicalName
    .replaceAll(/[^A-Za-z0-9-]+/g, "-")
    .replaceAll(/^-+|-+$/g, "")
    .slice(0, 24);
  return `${stem || "group"}-${randomBytes(4).toString("hex").slice(0, 7)}`;
}

/** PUT would quietly take over a group that somebody else made. */
async function refuseForeign(api: SandboxApi, name: string, key: string | undefined): Promise<void> {
  const found = await api.groups.get(name).catch((error: unknown) => {
    if (!isMissing(error)) throw error;
  });
  if (!found || (key && found.tags[keyLabel] === key)) return;
  throw new SandboxesError("Conflict", `Cannot create sandbox group "${name}": it exists and is not of this stack`, {
    field: "name",
    hint: "choose another name, or leave it out",
  });
}

/** An unfinished group holds nothing; one that does is something else, and is left alone. */
async function removeEmpty(api: SandboxApi, name: string): Promise<void> {
  const group = api.group(name);
  const contents = await Promise.all([group.sandboxes.list(), group.diskImages.list()]);
  if (contents.flat().length === 0) await api.groups.delete(name);
}
