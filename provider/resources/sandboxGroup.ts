import { randomBytes } from "node:crypto";
import { z } from "zod";
import { SandboxesError } from "../client/errors";
import { isMissing } from "../client/failures";
import type { SandboxApi } from "../client/sandboxApi";
import { type GroupView, isolation } from "../client/wire/groups";
import { groupName } from "../client/wire/identifiers";
import { type Context, defineResource } from "../pulumi/defineResource";
import { adoptOrCreate } from "./adoption";
import { type GroupRef, readGroupId } from "./ids";
import { keepOwnLabels, keyInput, keyLabel, labelsInput, ownLabels, userLabels } from "./ownLabels";

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
  target: z.enum(["microvm", "azure"]).describe("microvm or azure; by default the configured one").optional(),
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
  replaceOn: ["name", "location", "target"],
  computed: ["name", "location"],
  deleteBeforeReplace: (olds, news) => news.name !== undefined && olds.name === news.name,

  async create({ name: given, location, tags = {}, requireHardwareIsolation, __key: key, __logicalName }, context) {
    const { session, fingerprint } = context;
    const api = await session.api();
    const name = given ?? autoName(__logicalName ?? "group");
    const body = {
      location: location ?? session.config.location ?? "local",
      tags: { ...tags, ...ownLabels(key, fingerprint) },
      properties: { requireHardwareIsolation },
    };
    const { view, adopted } = await adoptOrCreate<GroupView>({
      key,
      fingerprint,
      list: () => api.groups.list(),
      labelsOf: (view) => view.tags,
      isKnown: (view) => session.knownIds.has(view.id),
      createdAt: () => undefined,
      isUsable: (view) => given === undefined || view.name === given,
      create: async () => {
        if (given !== undefined) await refuseForeign(api, given, key);
        return api.groups.put(name, body);
      },
      remove: (view) => removeEmpty(api, view.name),
    });
    const { properties } = body;
    const group = adopted
      ? await api.groups.patch(view.name, { tags: { ...tags, ...keepOwnLabels(view.tags) }, properties })
      : view;
    return { id: group.id, outputs: outputsOf(group) };
  },

  async read(id, _state, context) {
    const { api, groupName: name } = await open(id, context);
    const view = await api.groups.get(name);
    const { requireHardwareIsolation = false } = view.properties;
    const inputs = { name: view.name, location: view.location, tags: userLabels(view.tags), requireHardwareIsolation };
    return { inputs, outputs: outputsOf(view) };
  },

  async update(id, { tags = {}, requireHardwareIsolation }, _olds, context) {
    const { api, groupName: name } = await open(id, context);
    const own = keepOwnLabels((await api.groups.get(name)).tags);
    const change = { tags: { ...tags, ...own }, properties: { requireHardwareIsolation } };
    return outputsOf(await api.groups.patch(name, change));
  },

  async delete(id, _state, context) {
    const { api, groupName: name } = await open(id, context);
    await api.groups.delete(name);
  },
});

async function open(id: string, { session }: Context): Promise<GroupRef & { api: SandboxApi }> {
  const ref = readGroupId(id);
  return { ...ref, api: await session.api(ref) };
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
