import { z } from "zod";
import type { SnapshotsApi } from "../client/snapshots";
import { isGuid } from "../client/wire/identifiers";
import type { SnapshotView } from "../client/wire/snapshots";
import { type Context, defineResource } from "../pulumi/defineResource";
import { adoptOrCreate } from "./adoption";
import { groupIdInput, groupIdOf, type MemberRef, memberIdOf, readGroupId, readMemberId, requireMemberId } from "./ids";
import { keyInput, keyLabel, labelsInput, ownLabels, targetInput, userLabels } from "./ownLabels";
import { whileRunning } from "./whileRunning";

export const snapshotInputs = z.strictObject({
  group: groupIdInput,
  sandbox: z
    .string()
    .refine((text) => memberOf(text, "sandboxes") !== undefined, "not the id of a sandbox")
    .describe("a Sandbox of the group, or its id"),
  labels: labelsInput.optional(),
  __key: keyInput,
  __target: targetInput,
});

const outputs = z.object({
  snapshotId: z.string().describe("the snapshot's id within its group"),
  createdAt: z.string().optional().describe("the moment that it holds, ISO 8601"),
  sizeInMB: z.number().optional().describe("size in MiB"),
  resources: z
    .object({ cpu: z.string(), memory: z.string(), disk: z.string().optional() })
    .optional()
    .describe("what sandboxes made from it have"),
});

/** Memory, programs and files of a sandbox at one moment; it is made once, and outlives the sandbox. */
export const snapshot = defineResource({
  token: "Snapshot",
  description: "Memory, programs and files of a sandbox at the moment of its creation, to make sandboxes from.",
  inputs: snapshotInputs,
  outputs,
  replaceOn: ["group", "sandbox", "labels"],

  async create({ group, sandbox, labels = {}, __key: key }, { session, api, fingerprint }) {
    const ref = readGroupId(group);
    const { snapshots, sandboxes } = (await api(ref)).group(ref.groupName);
    const sandboxId = memberOf(sandbox, "sandboxes")!;
    const idOf = (view: SnapshotView) => memberIdOf(ref, "snapshots", view.id);
    const all = { ...labels, ...ownLabels(key, fingerprint) };
    const { view } = await adoptOrCreate<SnapshotView>({
      key,
      fingerprint,
      list: () => (key ? snapshots.list({ labels: { [keyLabel]: key } }) : Promise.resolve([])),
      labelsOf: (view) => view.labels,
      isKnown: (view) => session.knownIds.has(idOf(view)),
      createdAt: (view) => view.createdAtUtc ?? undefined,
      isUsable: () => true,
      create: () => whileRunning(sandboxes, sandboxId, () => snapshots.create(sandboxId, { labels: all })),
      remove: (view) => snapshots.delete(view.id),
    });
    return { id: idOf(view), outputs: outputsOf(view) };
  },

  async read(id, state, context) {
    const { snapshots, ref } = await open(id, context);
    const view = await snapshots.get(ref.memberId);
    const inputs = {
      group: groupIdOf(ref),
      ...(view.sandboxId && { sandbox: sandboxOf(view.sandboxId, ref, state.sandbox) }),
      labels: userLabels(view.labels),
    };
    return { inputs, outputs: outputsOf(view) };
  },

  // Nothing of it can change.
  async update(id, _inputs, _olds, context) {
    const { snapshots, ref } = await open(id, context);
    return outputsOf(await snapshots.get(ref.memberId));
  },

  async delete(id, _state, context) {
    const { snapshots, ref } = await open(id, context);
    await snapshots.delete(ref.memberId);
  },
});

async function open(id: string, { api }: Context): Promise<{ snapshots: SnapshotsApi; ref: MemberRef }> {
  const ref = requireMemberId(id, "snapshots");
  return { snapshots: (await api(ref)).group(ref.groupName).snapshots, ref };
}

/** The GUID in the id of a resource, or in a text that is one. */
function memberOf(text: string, kind: "sandboxes"): string | undefined {
  return readMemberId(text, kind)?.memberId ?? (isGuid(text) ? text : undefined);
}

/** The sandbox in the words that the state has for it, when it is the same one. */
function sandboxOf(sandboxId: string, ref: MemberRef, was: unknown): string {
  const isSame = typeof was === "string" && memberOf(was, "sandboxes")?.toLowerCase() === sandboxId.toLowerCase();
  return isSame ? was : memberIdOf(ref, "sandboxes", sandboxId);
}

function outputsOf({ id, createdAtUtc, sizeInMB, resources }: SnapshotView): z.input<typeof outputs> {
  const given = resources ? { ...resources, disk: resources.disk ?? undefined } : undefined;
  return { snapshotId: id, createdAt: createdAtUtc ?? undefined, sizeInMB: sizeInMB ?? undefined, resources: given };
}
