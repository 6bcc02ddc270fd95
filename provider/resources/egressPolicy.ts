import { z } from "zod";
import type { EgressPoliciesApi } from "../client/egress";
import { SandboxesError } from "../client/errors";
import { isMissing } from "../client/failures";
import type { NamedEgressPolicyView } from "../client/wire/egress";
import { type Context, defineResource } from "../pulumi/defineResource";
import { egressContent, egressFields, egressInputs } from "./egressInput";
import { groupIdInput, groupIdOf, readGroupId } from "./ids";
import { type NamedRef, namedIdOf, nameFromKey, requireNamedId } from "./namedIds";
import { keyInput, targetInput } from "./ownLabels";
import { rules } from "./rules";
import { targetParity } from "./targetParity";

export const egressPolicyInputs = z.strictObject({
  group: groupIdInput,
  name: z
    .string()
    .regex(/^[A-Za-z0-9](?:[A-Za-z0-9-]{0,62})$/, "use 1 to 63 letters, digits and dashes")
    .describe("1 to 63 letters, digits and dashes; by default made from the resource's name and stack")
    .optional(),
  description: z.string().min(1).max(200).describe("for people").optional(),
  ...egressFields,
  __key: keyInput,
  __logicalName: z.string().optional(),
  __target: targetInput,
});

const outputs = z.object({
  name: z.string().describe("the policy's name, given or made"),
  createdAt: z.string().optional().describe("when it was created, ISO 8601"),
  updatedAt: z.string().optional().describe("when it was last written, ISO 8601"),
});

/** What may leave sandboxes, for all of a group that name it. */
export const egressPolicy = defineResource({
  ...rules.EgressPolicy,
  token: "EgressPolicy",
  description: "A named egress policy of a group.",
  inputs: egressPolicyInputs,
  outputs,
  replaceOn: ["group", "name"],
  parity: targetParity.EgressPolicy,
  deleteBeforeReplace: (olds, news) => news.name !== undefined && olds.group === news.group && olds.name === news.name,

  async create(inputs, { session, api }) {
    const { group, name: given, __key: key, __logicalName: logicalName = "policy" } = inputs;
    const ref = readGroupId(group);
    const { egressPolicies } = (await api(ref)).group(ref.groupName);
    const isKnown = (id: string) => session.knownIds.has(id);
    const name = given ?? nameFromKey({ group, kind: "egressPolicies", logicalName, key, isKnown });
    await refuseForeign(egressPolicies, name, key);
    const view = await egressPolicies.put(name, contentOf(inputs));
    return { id: namedIdOf(ref, "egressPolicies", name), outputs: outputsOf(name, view) };
  },

  async read(id, _state, context) {
    const { egressPolicies, ref } = await open(id, context);
    const view = await egressPolicies.get(ref.name);
    const { description } = readMark(view.description);
    const inputs = { group: groupIdOf(ref), name: ref.name, description, ...egressInputs(view) };
    return { inputs, outputs: outputsOf(ref.name, view) };
  },

  async update(id, inputs, _olds, context) {
    const { egressPolicies, ref } = await open(id, context);
    return outputsOf(ref.name, await egressPolicies.put(ref.name, contentOf(inputs)));
  },

  async delete(id, _state, context) {
    const { egressPolicies, ref } = await open(id, context);
    await egressPolicies.delete(ref.name);
  },
});

async function open(id: string, { api }: Context): Promise<{ egressPolicies: EgressPoliciesApi; ref: NamedRef }> {
  const ref = requireNamedId(id, "egressPolicies");
  return { egressPolicies: (await api(ref)).group(ref.groupName).egressPolicies, ref };
}

function outputsOf(name: string, { createdAt, updatedAt }: NamedEgressPolicyView): z.input<typeof outputs> {
  return { name, createdAt: createdAt ?? undefined, updatedAt: updatedAt ?? undefined };
}

type Inputs = z.output<typeof egressPolicyInputs>;

function contentOf({ description, group, name, __key: key, __logicalName, __target, ...policy }: Inputs) {
  return { ...egressContent(policy), description: withMark(description, key) };
}

/** Policies have no labels: the end of the description says which resource of which stack made one. */
function withMark(description: string | undefined, key: string | undefined): string | undefined {
  return key ? [description, `[pulumi-key ${key}]`].filter(Boolean).join(" ") : description;
}

function readMark(text: string | null | undefined): { description?: string; key?: string } {
  const match = /^(?:(.*) )?\[pulumi-key ([0-9a-f]{32})\]$/s.exec(text ?? "");
  return match ? { description: match[1], key: match[2] } : { description: text || undefined };
}

/** PUT would quietly take over what somebody else made. */
async function refuseForeign(policies: EgressPoliciesApi, name: string, key: string | undefined): Promise<void> {
  const found = await policies.get(name).catch((error: unknown) => {
    if (!isMissing(error)) throw error;
  });
  if (!found || (key && readMark(found.description).key === key)) return;
  throw new SandboxesError("Conflict", `Cannot create egress policy "${name}": it exists and is not of this stack`, {
    field: "name",
    hint: "choose another name, or leave it out",
  });
}
