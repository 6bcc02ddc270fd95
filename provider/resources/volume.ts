import { z } from "zod";
import { SandboxesError } from "../client/errors";
import { isMissing } from "../client/failures";
import { poll } from "../client/poll";
import type { VolumesApi } from "../client/volumes";
import { sizeQuantity } from "../client/wire/quantities";
import { type PutVolumeContent, type VolumeView, volumeName } from "../client/wire/volumes";
import type { CheckFailure } from "../pulumi/checkInputs";
import { type Context, defineResource } from "../pulumi/defineResource";
import { InitFailed } from "../pulumi/initFailed";
import type { PropertyBag } from "../pulumi/propertyBag";
import { unknownValue } from "../pulumi/unknowns";
import { spelledAs } from "./armIds";
import { groupIdInput, groupIdOf, readGroupId } from "./ids";
import { type NamedRef, namedIdOf, nameFromKey, requireNamedId } from "./namedIds";
import { keepOwnLabels, keyInput, keyLabel, labelsInput, ownLabels, targetInput, userLabels } from "./ownLabels";
import { rules } from "./rules";
import { targetParity } from "./targetParity";

const provisionWithinMs = 10 * 60_000;

export const volumeInputs = z.strictObject({
  group: groupIdInput,
  name: volumeName
    .describe(
      "1 to 63 letters, digits, dots, dashes and underscores; by default made from the resource's name and stack",
    )
    .optional(),
  type: z
    .enum(["AzureBlob", "DataDisk", "AzureBlobByo", "AzureFileCifs", "AzureFileNfs", "Esan"])
    .describe(
      "AzureBlob: a directory for many sandboxes; DataDisk: for one at a time; AzureBlobByo: a container of yours; " +
        "AzureFileCifs, AzureFileNfs: a share of Azure Files; Esan: of an Elastic SAN",
    ),
  size: sizeQuantity.describe('"10Gi"; a DataDisk and an Esan need one').optional(),
  labels: labelsInput.optional(),
  storageContainerResourceId: z.string().min(1).describe("ARM id of the blob container of an AzureBlobByo").optional(),
  identity: z
    .string()
    .min(1)
    .describe('who reads that container: "system", or the ARM id of a managed identity of the group')
    .optional(),
  __key: keyInput,
  __logicalName: z.string().optional(),
  __target: targetInput,
});

const outputs = z.object({
  name: z.string().describe("the volume's name, given or made"),
  provisioningState: z.string().optional().describe("Succeeded when usable"),
  sku: z.string().optional().describe("of an Esan: Premium_LRS or Premium_ZRS, as the service chose"),
});

/** Files that outlive sandboxes. */
export const volume = defineResource({
  ...rules.Volume,
  token: "Volume",
  description: "Files that outlive sandboxes, and that one or many of them mount.",
  inputs: volumeInputs,
  outputs,
  replaceOn: ["group", "name", "type", "storageContainerResourceId", "identity"],
  replaceOnTarget: { azure: ["size"] },
  parity: targetParity.Volume,
  checkTarget: volumeFailures,
  deleteBeforeReplace: (olds, news) => news.name !== undefined && olds.group === news.group && olds.name === news.name,

  async create(inputs, { session, api, fingerprint }) {
    const { group, name: given, __key: key, __logicalName: logicalName = "volume" } = inputs;
    const ref = readGroupId(group);
    const { volumes } = (await api(ref)).group(ref.groupName);
    const isKnown = (id: string) => session.knownIds.has(id);
    const name = given ?? nameFromKey({ group, kind: "volumes", logicalName, key, isKnown });
    await refuseForeign(volumes, name, inputs);
    const view = await volumes.put(name, contentOf(inputs, ownLabels(key, fingerprint)));
    const id = namedIdOf(ref, "volumes", name);
    try {
      return { id, outputs: outputsOf(name, await provisioned(volumes, name, view)) };
    } catch (error) {
      throw new InitFailed(id, outputsOf(name, view), String(error), error);
    }
  },

  async read(id, state, context) {
    const { volumes, ref } = await open(id, context);
    const view = await volumes.get(ref.name);
    const inputs = {
      group: groupIdOf(ref),
      name: ref.name,
      ...(view.type && { type: view.type as z.input<typeof volumeInputs>["type"] }),
      ...(view.size && { size: sizeOf(view.size, state.size) }),
      labels: userLabels(view.labels),
      ...ownStorageOf(view, state),
    };
    return { inputs, outputs: outputsOf(ref.name, view) };
  },

  async update(id, inputs, _olds, context) {
    const { volumes, ref } = await open(id, context);
    const { labels } = await volumes.get(ref.name);
    const view = await volumes.put(ref.name, contentOf(inputs, keepOwnLabels(labels)));
    return outputsOf(ref.name, await provisioned(volumes, ref.name, view));
  },

  async delete(id, _state, context) {
    const { volumes, ref } = await open(id, context);
    await volumes.delete(ref.name);
  },
});

type Inputs = z.output<typeof volumeInputs>;

async function open(id: string, { api }: Context): Promise<{ volumes: VolumesApi; ref: NamedRef }> {
  const ref = requireNamedId(id, "volumes");
  return { volumes: (await api(ref)).group(ref.groupName).volumes, ref };
}

/** Volumes of these types have a size of their own. */
const sizedTypes: readonly unknown[] = ["DataDisk", "Esan"];

function volumeFailures({ type, size, storageContainerResourceId, identity }: PropertyBag): CheckFailure[] {
  const ofContainer = Object.entries({ storageContainerResourceId, identity });
  const which = (isGiven: boolean) => ofContainer.filter(([, value]) => (value !== undefined) === isGiven);
  if (type === "AzureBlobByo") {
    const reason = "an AzureBlobByo needs the ARM id of its container, and the identity that opens it";
    return which(false).map(([property]) => ({ property, reason }));
  }
  if (type === unknownValue) return [];
  const extra = which(true).map(([property]) => ({ property, reason: "it goes with type AzureBlobByo only" }));
  const isSizeless = sizedTypes.includes(type) && size === undefined;
  return [...extra, ...(isSizeless ? [{ property: "size", reason: `a ${type} needs a size: "10Gi"` }] : [])];
}

function contentOf(inputs: Inputs, own: Record<string, string>): PutVolumeContent {
  const { type, size, labels = {}, storageContainerResourceId, identity } = inputs;
  const isSystem = identity === "system";
  const who = isSystem ? { kind: "SystemAssigned" } : { kind: "UserAssigned", resourceId: identity };
  return {
    ...{ type, size, labels: { ...labels, ...own }, storageContainerResourceId },
    ...(identity && { auth: { kind: "ManagedIdentity", identity: who } }),
  };
}

async function provisioned(volumes: VolumesApi, name: string, first: VolumeView): Promise<VolumeView> {
  let view: VolumeView | undefined = first;
  const ask = async () => {
    view ??= await volumes.get(name);
    const { provisioningState: state } = view;
    if (state === "Failed") throw new SandboxesError("ServiceFailed", `Volume "${name}" could not be provisioned`);
    if (state !== "Provisioning") return view;
    view = undefined;
    return undefined;
  };
  return poll(ask, { timeoutMs: provisionWithinMs, what: `volume "${name}" to be provisioned` });
}

function outputsOf(name: string, { provisioningState, sku }: VolumeView): z.input<typeof outputs> {
  return { name, provisioningState: provisioningState ?? undefined, sku: sku ?? undefined };
}

/** The container and who opens it, in the spelling of the state when they are the same; not every view tells them. */
function ownStorageOf({ storageContainerResourceId: container, auth }: VolumeView, state: PropertyBag) {
  const who = auth?.identity.kind === "SystemAssigned" ? "system" : auth?.identity.resourceId;
  return {
    ...(container && { storageContainerResourceId: spelledAs(state.storageContainerResourceId, container) }),
    ...(who && { identity: spelledAs(state.identity, who) }),
  };
}

/** In the spelling of the state, when it is the same size. */
function sizeOf(live: string, was: unknown): string {
  const read = (text: unknown) => sizeQuantity.safeParse(text).data;
  return typeof was === "string" && read(was) === read(live) ? was : live;
}

/** PUT would quietly take over what somebody else keeps there. What is ours is taken over with its files. */
async function refuseForeign(volumes: VolumesApi, name: string, { type, __key: key }: Inputs): Promise<void> {
  const found = await volumes.get(name).catch((error: unknown) => {
    if (!isMissing(error)) throw error;
  });
  const isOurs = key !== undefined && found?.labels[keyLabel] === key;
  if (!found || (isOurs && (!found.type || found.type === type))) return;
  const why = isOurs ? `it exists as ${found.type}` : "it exists and is not of this stack";
  throw new SandboxesError("Conflict", `Cannot create volume "${name}": ${why}`, {
    field: "name",
    hint: isOurs
      ? "delete it if its files are not needed, or choose another name"
      : "choose another name, or leave it out",
  });
}
