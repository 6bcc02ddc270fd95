import { z } from "zod";
import { SandboxesError } from "../client/errors";
import { poll } from "../client/poll";
import type { SandboxesApi } from "../client/sandboxes";
import { isolation } from "../client/wire/groups";
import { isGuid } from "../client/wire/identifiers";
import { cpuQuantity, sizeQuantity } from "../client/wire/quantities";
import type { SandboxResources, SandboxSource, SandboxView } from "../client/wire/sandboxes";
import { type Context, defineResource } from "../pulumi/defineResource";
import { InitFailed } from "../pulumi/initFailed";
import { definedOnly } from "../pulumi/propertyBag";
import { adoptOrCreate } from "./adoption";
import { groupIdInput, groupIdOf, type MemberRef, memberIdOf, readGroupId, readMemberId, requireMemberId } from "./ids";
import { keepOwnLabels, keyInput, keyLabel, labelsInput, ownLabels, targetInput, userLabels } from "./ownLabels";
import { targetParity } from "./targetParity";

/** The first sandbox of an image may wait for its template to boot, minutes where the host emulates. */
const startTimeoutMs = 10 * 60_000;

export const sandboxInputs = z.strictObject({
  group: groupIdInput,
  image: z.string().min(1).describe("a DiskImage or its id, or a catalogue name such as python"),
  cpu: cpuQuantity.describe('processors: "1000m", "0.5" or 2; default 1000m').optional(),
  memory: sizeQuantity.describe('memory: "512Mi" or "2Gi"; default 512Mi, on Azure 2048Mi').optional(),
  disk: sizeQuantity.describe('writable disk: "10Gi"; default 10240Mi, on Azure by the service').optional(),
  env: z
    .record(z.string(), z.string())
    .meta({ secret: true })
    .describe("environment variables of everything that runs in it; kept secret")
    .optional(),
  entrypoint: z.array(z.string()).describe("replaces the image's own entrypoint").optional(),
  cmd: z.array(z.string()).describe("replaces the image's own command").optional(),
  labels: labelsInput.optional(),
  __key: keyInput,
  __target: targetInput,
});

/** What a sandbox gets when nothing is asked for; Azure's are those of its own clients, and its disk goes by the cpu. */
const defaultResources = {
  microvm: { cpu: "1000m", memory: "512Mi", disk: "10240Mi" },
  azure: { cpu: "1000m", memory: "2048Mi" },
};

const outputs = z.object({
  sandboxId: z.string().describe("the sandbox's id within its group"),
  state: z.string().describe("Running, Stopped or Failed"),
  createdAt: z.string().optional().describe("when it was created, ISO 8601"),
  isolation: isolation.optional().describe("hardware, emulated (no security boundary) or none"),
  resources: z
    .object({ cpu: z.string(), memory: z.string(), disk: z.string().optional() })
    .optional()
    .describe("what it was given"),
});

/** A virtual machine to run code in. */
export const sandbox = defineResource({
  token: "Sandbox",
  description: "A sandbox: a virtual machine of its own, to run code in.",
  inputs: sandboxInputs,
  outputs,
  replaceOn: ["group", "image", "cpu", "memory", "disk", "env", "entrypoint", "cmd"],
  replaceOnTarget: { azure: ["labels"] },
  computed: ["disk"],
  parity: targetParity.Sandbox,
  fillIn: (inputs, target) => ({ ...defaultResources[target], ...definedOnly(inputs) }),
  brokenBy: ({ state }) => (state === "Failed" ? "state" : undefined),

  async create(inputs, { session, target, api, fingerprint }) {
    const { group, image, env, labels = {}, entrypoint, cmd, __key: key } = inputs;
    const ref = readGroupId(group);
    const { sandboxes } = (await api(ref)).group(ref.groupName);
    const idOf = (view: SandboxView) => memberIdOf(ref, "sandboxes", view.id);
    const { cpu, memory, disk }: SandboxResources = { ...defaultResources[target], ...definedOnly(inputs) };
    const { view, adopted } = await adoptOrCreate<SandboxView>({
      key,
      fingerprint,
      list: () => (key ? sandboxes.list({ labels: { [keyLabel]: key } }) : Promise.resolve([])),
      labelsOf: (view) => view.labels,
      isKnown: (view) => session.knownIds.has(idOf(view)),
      createdAt: (view) => view.createdAt ?? undefined,
      isUsable: (view) => usableStates[target].has(view.state),
      create: () =>
        sandboxes.create({
          sourcesRef: sourceOf(image),
          resources: { cpu, memory, disk },
          environment: env,
          labels: { ...labels, ...ownLabels(key, fingerprint) },
          entrypoint,
          cmd,
        }),
      remove: (view) => sandboxes.delete(view.id),
    });
    if (!adopted) return { id: idOf(view), outputs: outputsOf(view) };
    try {
      const running = await started(sandboxes, view);
      // On Azure labels cannot be changed; an object with others has not been taken over.
      if (target !== "azure") {
        await sandboxes.update(view.id, { labels: { ...labels, ...keepOwnLabels(view.labels) } });
      }
      return { id: idOf(view), outputs: outputsOf(running) };
    } catch (error) {
      throw new InitFailed(idOf(view), outputsOf(view), String(error), error);
    }
  },

  async read(id, state, context) {
    const { sandboxes, ref } = await open(id, context);
    const view = await sandboxes.get(ref.memberId);
    const { cpu, memory, disk } = view.resources ?? {};
    const inputs = {
      group: groupIdOf(ref),
      image: imageOf(view, ref, state.image),
      ...(view.resources && { cpu, memory, disk: disk ?? undefined }),
      ...(view.entrypoint && { entrypoint: view.entrypoint }),
      ...(view.cmd && { cmd: view.cmd }),
      labels: userLabels(view.labels),
    };
    return { inputs, outputs: outputsOf(view) };
  },

  async update(id, { labels = {} }, _olds, context) {
    const { sandboxes, ref } = await open(id, context);
    const running = await started(sandboxes, await sandboxes.get(ref.memberId));
    if (context.target === "azure") return outputsOf(running);
    const own = keepOwnLabels(running.labels);
    return outputsOf(await sandboxes.update(ref.memberId, { labels: { ...labels, ...own } }));
  },

  async delete(id, _state, context) {
    const { sandboxes, ref } = await open(id, context);
    await sandboxes.delete(ref.memberId);
  },
});

async function open(id: string, { api }: Context): Promise<{ sandboxes: SandboxesApi; ref: MemberRef }> {
  const ref = requireMemberId(id, "sandboxes");
  return { sandboxes: (await api(ref)).group(ref.groupName).sandboxes, ref };
}

/** In which an unfinished sandbox is as good as new. Azure suspends by itself what nobody uses. */
const usableStates = {
  microvm: new Set(["Running", "Creating"]),
  azure: new Set(["Running", "Creating", "Idle", "Stopped"]),
};

function sourceOf(image: string): SandboxSource {
  const id = readMemberId(image, "diskimages")?.memberId ?? (isGuid(image) ? image : undefined);
  return { diskImage: id ? { id } : { name: image, isPublic: true } };
}

/** The image in the words that the state has for it, when it is the same one. */
function imageOf(view: SandboxView, ref: MemberRef, was: unknown): string | undefined {
  const live = view.sourcesRef?.diskImage;
  const had = typeof was === "string" ? sourceOf(was).diskImage : undefined;
  if (live?.id) return had?.id === live.id ? (was as string) : memberIdOf(ref, "diskimages", live.id);
  return live?.name ?? undefined;
}

/** Waits while the service still makes it; a stopped sandbox is as good as a running one. */
async function started(sandboxes: SandboxesApi, first: SandboxView): Promise<SandboxView> {
  let view = first;
  const ask = async () => {
    if (view.state === "Failed") {
      throw new SandboxesError("InvalidState", `Sandbox "${view.id}" should be running: it is Failed`);
    }
    if (view.state !== "Creating") return view;
    view = await sandboxes.get(view.id);
    return undefined;
  };
  return poll(ask, { timeoutMs: startTimeoutMs, what: `sandbox "${first.id}" to be running` });
}

function outputsOf({ id, state, createdAt, isolation, resources }: SandboxView): z.input<typeof outputs> {
  const given = resources && { ...resources, disk: resources.disk ?? undefined };
  return { sandboxId: id, state, createdAt: createdAt ?? undefined, isolation, resources: given ?? undefined };
}
