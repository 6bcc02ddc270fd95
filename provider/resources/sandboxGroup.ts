import { randomBytes } from "node:crypto";
import { z } from "zod";
import { SandboxesError } from "../client/errors";
import { isMissing } from "../client/failures";
import type { SandboxApi } from "../client/sandboxApi";
import { type GroupPut, type GroupView, isolation } from "../client/wire/groups";
import { groupName } from "../client/wire/identifiers";
import { type Context, defineResource } from "../pulumi/defineResource";
import { InitFailed } from "../pulumi/initFailed";
import { targets } from "../pulumi/providerConfig";
import { adoptOrCreate } from "./adoption";
import { azureFailures, azureSpelling, sameRegion } from "./azureGroup";
import { type GroupRef, groupIdOf, readGroupId } from "./ids";
import { keepOwnLabels, keyInput, keyLabel, labelsInput, ownLabels, userLabels } from "./ownLabels";
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
});

/** A set of sandboxes, disk images and what they share; deleting it deletes all in it. */
export const sandboxGroup = defineResource({
  token: "SandboxGroup",
  description: "A group of sandboxes and disk images.",
  inputs: sandboxGroupInputs,
  outputs,
  replaceOn: ["name", "location", "target", "resourceGroupName"],
  computed: ["name", "location", "resourceGroupName"],
  parity: targetParity.SandboxGroup,
  fillIn: (inputs, target) => (target === "azure" ? azureSpelling(inputs) : inputs),
  checkTarget: (inputs, target, config) => (target === "azure" ? azureFailures(inputs, config) : []),
  deleteBeforeReplace: (olds, news) => news.name !== undefined && olds.name === news.name,

  async create(inputs, context) {
    const { name: given, location, tags = {}, requireHardwareIsolation, resourceGroupName, __key: key } = inputs;
    const { session, fingerprint } = context;
    const api = await context.api({ resourceGroupName });
    const name = given ?? autoName(inputs.__logicalName ?? "group");
    const body = {
      location: location ?? session.config.location ?? "local",
      tags: { ...tags, ...ownLabels(key, fingerprint) },
      properties: { requireHardwareIsolation },
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
      const group = adopted ? await bring(api, view, tags, body) : view;
      return { id: idOf(api, group.name), outputs: outputsOf(group) };
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
    const isSame = typeof state.location === "string" && sameRegion(state.location, view.location);
    const inputs = {
      name: view.name,
      location: isSame ? String(state.location) : view.location,
      resourceGroupName: api.connection.resourceGroupName,
      tags: userLabels(view.tags),
      // Azure does not tell it, since it is never otherwise.
      ...(context.target === "microvm" && { requireHardwareIsolation }),
    };
    return { inputs, outputs: { ...outputsOf(view), location: inputs.location } };
  },

  async update(id, { tags = {}, requireHardwareIsolation }, _olds, context) {
    const { api, groupName: name } = await open(id, context);
    const view = await api.groups.get(name);
    const body = { location: view.location, tags: view.tags, properties: { requireHardwareIsolation } };
    return outputsOf(await bring(api, view, tags, body));
  },

  async delete(id, _state, context) {
    const { api, groupName: name } = await open(id, context);
    await api.groups.delete(name);
  },
});

async function open(id: string, context: Context): Promise<GroupRef & { api: SandboxApi }> {
  const ref = readGroupId(id);
  return { ...ref, api: await context.api(ref) };
}

/** Brings a group that exists to what is wanted; one that failed is put again, which is how Azure mends it. */
function bring(api: SandboxApi, view: GroupView, tags: Record<string, string>, body: GroupPut): Promise<GroupView> {
  const all = { ...tags, ...keepOwnLabels(view.tags) };
  const { provisioningState: state = "Succeeded" } = view.properties;
  if (state === "Failed" || state === "Canceled") return api.groups.put(view.name, { ...body, tags: all });
  return api.groups.patch(view.name, { tags: all, properties: body.properties });
}

/** In our own spelling: ARM answers ids in any mixture of cases. */
function idOf({ connection }: SandboxApi, groupName: string): string {
  const { subscriptionId, resourceGroupName } = connection;
  return groupIdOf({ subscriptionId, resourceGroupName, groupName });
}

function outputsOf({ name, location, properties }: GroupView): z.input<typeof outputs> {
  const { managementEndpoint, provisioningState, isolation } = properties;
  return { name, location, managementEndpoint, provisioningState, isolation };
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
