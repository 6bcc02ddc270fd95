import { z } from "zod";
import { isMissing } from "../client/failures";
import type { VnetConnectionsApi } from "../client/vnetConnections";
import type { VnetConnectionView } from "../client/wire/vnetConnections";
import { type Context, defineResource } from "../pulumi/defineResource";
import { InitFailed } from "../pulumi/initFailed";
import { containsUnknown } from "../pulumi/unknowns";
import { isSameArmId, spelledAs } from "./armIds";
import { groupIdInput, groupIdOf, readGroupId } from "./ids";
import { namesFromKey } from "./namedIds";
import { keyInput, targetInput } from "./ownLabels";
import { rules } from "./rules";
import { targetParity } from "./targetParity";
import { requireVnetConnectionId, type VnetConnectionRef, vnetConnectionIdOf } from "./vnetConnectionIds";

/** Azure's names have at most 32 letters, eleven of which are digits of the key. */
const stemLength = 21;

export const vnetConnectionInputs = z.strictObject({
  group: groupIdInput,
  subnetId: z
    .string()
    .min(1)
    .describe("ARM id of a subnet that is delegated to Microsoft.App/environments, in the region of the group"),
  __key: keyInput,
  __logicalName: z.string().optional(),
  __target: targetInput,
});

const outputs = z.object({
  name: z.string().describe("the connection's name, made from the resource's name and stack"),
  provisioningState: z.string().optional().describe("Succeeded when usable"),
});

/** A way of a group into a virtual network of Azure. */
export const vnetConnection = defineResource({
  ...rules.VnetConnection,
  token: "VnetConnection",
  description: "A group's connection to a subnet of a virtual network, for sandboxes that name it.",
  inputs: vnetConnectionInputs,
  outputs,
  replaceOn: ["group", "subnetId"],
  parity: targetParity.VnetConnection,
  // The table lets pass what is not known yet; whatever the subnet will be, a host has none.
  checkTarget: ({ subnetId }, target) =>
    target === "microvm" && containsUnknown(subnetId)
      ? [
          {
            property: "subnetId",
            reason: `not on target microvm: ${targetParity.VnetConnection.subnetId.microvm.text}`,
          },
        ]
      : [],

  async create({ group, subnetId, __key: key, __logicalName: logicalName = "vnet" }, { session, api }) {
    const ref = readGroupId(group);
    const connections = (await api(ref)).groups.vnetConnections(ref.groupName);
    const idOf = (name: string) => vnetConnectionIdOf({ ...ref, name });
    const names = namesFromKey({ logicalName, key, fallback: "vnet", stemLength });
    const name = names.find((each) => !session.knownIds.has(idOf(each))) ?? names[0]!;
    await removeOther(connections, name, subnetId);
    try {
      return { id: idOf(name), outputs: outputsOf(await connections.put(name, subnetId)) };
    } catch (error) {
      // One that is there although it did not become usable must not be forgotten.
      const left = await connections.get(name).catch(() => undefined /* the first error tells more */);
      if (!left) throw error;
      throw new InitFailed(idOf(name), outputsOf(left), String(error), error);
    }
  },

  async read(id, state, context) {
    const { connections, ref } = await open(id, context);
    const view = await connections.get(ref.name);
    const { subnetId } = view.properties;
    const inputs = { group: groupIdOf(ref), ...(subnetId && { subnetId: spelledAs(state.subnetId, subnetId) }) };
    return { inputs, outputs: outputsOf(view) };
  },

  // Only to mend one that did not become usable.
  async update(id, { subnetId }, _olds, context) {
    const { connections, ref } = await open(id, context);
    return outputsOf(await connections.put(ref.name, subnetId));
  },

  async delete(id, _state, context) {
    const { connections, ref } = await open(id, context);
    await connections.delete(ref.name);
  },
});

async function open(
  id: string,
  { api }: Context,
): Promise<{ connections: VnetConnectionsApi; ref: VnetConnectionRef }> {
  const ref = requireVnetConnectionId(id);
  return { connections: (await api(ref)).groups.vnetConnections(ref.groupName), ref };
}

/** The name tells that it is ours; an attempt with another subnet was given up, and a subnet cannot be changed. */
async function removeOther(connections: VnetConnectionsApi, name: string, subnetId: string): Promise<void> {
  const found = await connections.get(name).catch((error: unknown) => {
    if (!isMissing(error)) throw error;
  });
  const { subnetId: live } = found?.properties ?? {};
  if (live && !isSameArmId(subnetId, live)) await connections.delete(name);
}

function outputsOf({ name, properties }: VnetConnectionView): z.input<typeof outputs> {
  return { name, provisioningState: properties.provisioningState ?? undefined };
}
