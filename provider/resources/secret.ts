import { z } from "zod";
import { SandboxesError } from "../client/errors";
import type { SecretsApi } from "../client/groupSecrets";
import { registerSecret } from "../client/secrets";
import { type SecretView, secretId } from "../client/wire/secrets";
import { type Context, defineResource } from "../pulumi/defineResource";
import { isBag } from "../pulumi/propertyBag";
import { groupIdInput, groupIdOf, readGroupId } from "./ids";
import { type NamedRef, namedIdOf, nameFromKey, requireNamedId } from "./namedIds";
import { keyInput, targetInput } from "./ownLabels";
import { rules } from "./rules";
import { isMarkedAsOurs, markAsOurs, unmark } from "./secretMarks";

/** Stands in the state for a value that somebody else wrote: it can be seen that it changed, and not to what. */
export const changedElsewhere = "(changed outside of Pulumi)";

export const secretInputs = z.strictObject({
  group: groupIdInput,
  name: secretId
    .describe("3 to 64 letters, digits and dashes; by default made from the resource's name and stack")
    .optional(),
  values: z
    .record(z.string().min(1), z.string())
    .refine((values) => Object.keys(values).length > 0, "a secret has at least one value")
    .meta({ secret: true })
    .describe("texts by key; kept secret"),
  __key: keyInput,
  __logicalName: z.string().optional(),
  __target: targetInput,
});

const outputs = z.object({
  name: z.string().describe("the secret's name, given or made; what egress rules call secretId"),
  keys: z.array(z.string()).describe("names of the values, sorted"),
  createdAt: z.string().optional().describe("when it was created, ISO 8601"),
  updatedAt: z.string().optional().describe("when values were last written, ISO 8601"),
});

/** Values that a group keeps and its egress rules may use. They are written, and never read back. */
export const secret = defineResource({
  ...rules.Secret,
  token: "Secret",
  description: "Named secret values of a group.",
  inputs: secretInputs,
  outputs,
  replaceOn: ["group", "name"],
  deleteBeforeReplace: (olds, news) => news.name !== undefined && olds.group === news.group && olds.name === news.name,

  async create({ group, name: given, values, __key: key, __logicalName: logicalName = "secret" }, { session, api }) {
    const ref = readGroupId(group);
    const { secrets } = (await api(ref)).group(ref.groupName);
    const isKnown = (id: string) => session.knownIds.has(id);
    const name = given ?? nameFromKey({ group, kind: "secrets", logicalName, key, isKnown });
    if (given !== undefined) {
      await refuseForeign(secrets, given, key);
      await markAsOurs(secrets, key, given);
    }
    return { id: namedIdOf(ref, "secrets", name), outputs: await write(secrets, name, values) };
  },

  async read(id, state, context) {
    const { secrets, ref } = await open(id, context);
    const view = await secrets.find(ref.name);
    if (!view) return undefined;
    const keys = view.keys ?? (await secrets.keys(ref.name));
    const outputs = outputsOf(ref.name, view, keys);
    const inputs = { group: groupIdOf(ref), name: ref.name, values: valuesNow(state, outputs) };
    return { inputs, outputs };
  },

  async update(id, { values }, _olds, context) {
    const { secrets, ref } = await open(id, context);
    return write(secrets, ref.name, values);
  },

  async delete(id, state, context) {
    const { secrets, ref } = await open(id, context);
    await secrets.delete(ref.name);
    await unmark(secrets, typeof state.__key === "string" ? state.__key : undefined, ref.name);
  },
});

type Outputs = z.input<typeof outputs>;

async function open(id: string, { api }: Context): Promise<{ secrets: SecretsApi; ref: NamedRef }> {
  const ref = requireNamedId(id, "secrets");
  return { secrets: (await api(ref)).group(ref.groupName).secrets, ref };
}

async function write(secrets: SecretsApi, name: string, values: Record<string, string>): Promise<Outputs> {
  for (const value of Object.values(values)) registerSecret(value);
  const put = await secrets.put(name, values);
  // The time of the writing tells later whether somebody else wrote.
  const view = put.updatedAt ? put : ((await secrets.find(name)) ?? put);
  return outputsOf(name, view, Object.keys(values));
}

function outputsOf(name: string, { createdAt, updatedAt }: SecretView, keys: string[]): Outputs {
  const times = { createdAt: createdAt ?? undefined, updatedAt: updatedAt ?? undefined };
  return { name, keys: [...keys].sort(), ...times };
}

/**
 * The values as far as they are ours: those of the state while nobody else has written. A digest of the values would
 * tell which one was changed, and would let whoever reads the state guess them; the time of the last writing does not.
 */
function valuesNow(state: Record<string, unknown>, { keys, updatedAt }: Outputs): Record<string, string> {
  const had = isBag(state.values) ? (state.values as Record<string, string>) : {};
  const isOurs = state.updatedAt === undefined || updatedAt === undefined || state.updatedAt === updatedAt;
  return Object.fromEntries(keys.map((key) => [key, isOurs ? (had[key] ?? changedElsewhere) : changedElsewhere]));
}

/** PUT would overwrite what somebody else keeps there, for good. */
async function refuseForeign(secrets: SecretsApi, name: string, key: string | undefined): Promise<void> {
  if (!(await secrets.find(name)) || (await isMarkedAsOurs(secrets, key, name))) return;
  throw new SandboxesError("Conflict", `Cannot create secret "${name}": it exists and is not of this stack`, {
    field: "name",
    hint: "choose another name, or leave it out",
  });
}
