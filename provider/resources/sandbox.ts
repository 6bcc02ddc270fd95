import { z } from "zod";
import { SandboxesError } from "../client/errors";
import { poll } from "../client/poll";
import type { SandboxesApi } from "../client/sandboxes";
import { registerSecret } from "../client/secrets";
import { isolation } from "../client/wire/groups";
import { cpuQuantity, sizeQuantity } from "../client/wire/quantities";
import type { SandboxResources, SandboxView } from "../client/wire/sandboxes";
import type { CheckFailure } from "../pulumi/checkInputs";
import { type Context, defineResource } from "../pulumi/defineResource";
import { InitFailed } from "../pulumi/initFailed";
import { definedOnly, type PropertyBag } from "../pulumi/propertyBag";
import type { Target } from "../pulumi/providerConfig";
import { adoptOrCreate } from "./adoption";
import { azureServiceContent, azureServiceFields, azureServiceInputs, azureServiceNames } from "./azureServices";
import { egressContent, egressInput, egressInputs, isSamePolicy } from "./egressInput";
import { groupIdInput, groupIdOf, type MemberRef, memberIdOf, readGroupId, requireMemberId } from "./ids";
import { isSameLifecycle, lifecycleContent, lifecycleInput, lifecycleInputs } from "./lifecycleInput";
import { readNamedId } from "./namedIds";
import { keepOwnLabels, keyInput, keyLabel, labelsInput, ownLabels, targetInput, userLabels } from "./ownLabels";
import { bringPorts, portInputs, portsInput, portUrls } from "./portInput";
import { defaultResources, isSized, rules } from "./rules";
import { sourceContent, sourceFailures, sourceFields, sourceInputs } from "./sandboxSource";
import { targetParity } from "./targetParity";
import { readVnetConnectionId } from "./vnetConnectionIds";
import { bringVolumes, shareVolumes, volumeInputs, volumesContent, volumesInput } from "./volumeInput";

/** The first sandbox of an image may wait for its template to boot, minutes where the host emulates. */
const startTimeoutMs = 10 * 60_000;

export const sandboxInputs = z.strictObject({
  group: groupIdInput,
  ...sourceFields,
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
  ports: portsInput.optional(),
  egress: egressInput.optional(),
  egressPolicy: z.string().min(1).describe("an EgressPolicy of the group, its id or its name").optional(),
  vnetConnection: z.string().min(1).describe("a VnetConnection of the group, its id or its name").optional(),
  ...azureServiceFields,
  volumes: volumesInput.optional(),
  lifecycle: lifecycleInput.optional(),
  __key: keyInput,
  __target: targetInput,
});

const outputs = z.object({
  sandboxId: z.string().describe("the sandbox's id within its group"),
  state: z.string().describe("Running, Stopped or Failed"),
  createdAt: z.string().optional().describe("when it was created, ISO 8601"),
  isolation: isolation.optional().describe("hardware, emulated (no security boundary) or none"),
  resources: z
    .object({ cpu: z.string(), memory: z.string(), disk: z.string().optional() })
    .optional()
    .describe("what it was given"),
  urls: z.record(z.string(), z.string()).optional().describe("addresses of its ports, by number"),
});

/** A virtual machine to run code in. */
export const sandbox = defineResource({
  ...rules.Sandbox,
  token: "Sandbox",
  description: "A sandbox: a virtual machine of its own, to run code in.",
  inputs: sandboxInputs,
  outputs,
  replaceOn: [
    ...["group", ...Object.keys(sourceFields), "cpu", "memory", "disk", "env", "entrypoint", "cmd", "egressPolicy"],
    ...["vnetConnection", "volumes", ...azureServiceNames],
  ],
  replaceOnTarget: { azure: ["labels"] },
  parity: targetParity.Sandbox,
  checkTarget: (inputs) => [...sourceFailures(inputs), ...oneWayOut(inputs)],
  deleteBeforeReplace: (olds, news) => shareVolumes(olds.volumes, news.volumes),

  async create(inputs, { session, target, api, fingerprint }) {
    const { group, snapshot, env, labels = {}, entrypoint, cmd, lifecycle, anthropicApiKey, __key: key } = inputs;
    registerSecret(anthropicApiKey);
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
          ...sourceContent(inputs),
          ...(isSized(inputs) && { resources: { cpu, memory, disk } }),
          environment: env,
          labels: { ...labels, ...ownLabels(key, fingerprint) },
          entrypoint,
          cmd,
          ports: inputs.ports,
          egressPolicy: inputs.egress && egressContent(inputs.egress),
          egressPolicyId: inputs.egressPolicy && policyNameOf(inputs.egressPolicy),
          vnetConnectionName: inputs.vnetConnection && connectionNameOf(inputs.vnetConnection),
          ...azureServiceContent(inputs),
          volumes: inputs.volumes && volumesContent(inputs.volumes),
          lifecycle: lifecycle && lifecycleContent(lifecycle, target),
        }),
      remove: (view) => sandboxes.delete(view.id),
    });
    // What a copy of a snapshot is given beside it some services only take afterwards.
    if (!adopted && snapshot === undefined) return { id: idOf(view), outputs: outputsOf(view) };
    try {
      const running = await started(sandboxes, view);
      return { id: idOf(view), outputs: outputsOf(await bring(sandboxes, running, inputs, target)) };
    } catch (error) {
      throw new InitFailed(idOf(view), outputsOf(view), String(error), error);
    }
  },

  async read(id, state, context) {
    const { sandboxes, ref } = await open(id, context);
    const view = await sandboxes.get(ref.memberId);
    const { cpu, memory, disk } = view.resources ?? {};
    const volumes = volumeInputs(view.volumes, state.volumes);
    const source = sourceInputs(view, ref, state);
    const inputs = {
      group: groupIdOf(ref),
      ...source,
      ...(!source.snapshot && view.resources && { cpu, memory, disk: disk ?? undefined }),
      ...(!source.snapshot && view.entrypoint && { entrypoint: view.entrypoint }),
      ...(!source.snapshot && view.cmd && { cmd: view.cmd }),
      labels: userLabels(view.labels),
      ports: portInputs(view.ports, state.ports),
      egress: egressInputs(view.egressPolicy),
      egressPolicy: policyOf(view, state.egressPolicy),
      ...connectionOf(view, state.vnetConnection),
      ...azureServiceInputs(view, state),
      ...(volumes && { volumes }),
      ...(view.lifecycle && { lifecycle: lifecycleInputs(view.lifecycle, state.lifecycle) }),
    };
    return { inputs, outputs: outputsOf(view) };
  },

  async update(id, inputs, olds, context) {
    const { sandboxes, ref } = await open(id, context);
    const running = await started(sandboxes, await sandboxes.get(ref.memberId));
    const egress = inputs.egress ?? (olds.egress && !inputs.egressPolicy ? wayOutWithout[context.target] : undefined);
    const ports = inputs.ports ?? (olds.ports ? [] : undefined);
    const lifecycle = inputs.lifecycle ?? (olds.lifecycle ? {} : undefined);
    return outputsOf(await bring(sandboxes, running, { ...inputs, egress, ports, lifecycle }, context.target));
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

/** What holds for a sandbox of which nothing was said. */
const wayOutWithout = { microvm: { defaultAction: "Deny" }, azure: { defaultAction: "Allow" } } as const;

type Changeable = Pick<z.output<typeof sandboxInputs>, "labels" | "ports" | "egress" | "volumes" | "lifecycle">;

/** Changes what can be changed of a sandbox that is there. What is undefined stays as it is. */
async function bring(
  sandboxes: SandboxesApi,
  view: SandboxView,
  { labels = {}, ports, egress, volumes, lifecycle }: Changeable,
  target: Target,
): Promise<SandboxView> {
  // On Azure labels cannot be changed; an object with others has been replaced, or not been taken over.
  if (target !== "azure") await sandboxes.update(view.id, { labels: { ...labels, ...keepOwnLabels(view.labels) } });
  if (ports) await bringPorts(sandboxes, view.id, view.ports, ports);
  if (egress && (view.egressPolicyId || !isSamePolicy(egress, egressInputs(view.egressPolicy)))) {
    await sandboxes.setEgressPolicy(view.id, egressContent(egress));
  }
  if (volumes) await bringVolumes(sandboxes, view.id, view.volumes, volumes);
  if (lifecycle && !isSameLifecycle(lifecycle, view.lifecycle, target)) {
    await sandboxes.setLifecycle(view.id, lifecycleContent(lifecycle, target));
  }
  return sandboxes.get(view.id);
}

function oneWayOut({ egress, egressPolicy }: PropertyBag): CheckFailure[] {
  const both = egress !== undefined && egressPolicy !== undefined;
  return both ? [{ property: "egressPolicy", reason: "give one of egress and egressPolicy" }] : [];
}

function policyNameOf(egressPolicy: string): string {
  return readNamedId(egressPolicy, "egressPolicies")?.name ?? egressPolicy;
}

/** The policy's name in the words that the state has for it, when it is the same one. */
function policyOf({ egressPolicyId }: SandboxView, was: unknown): string | undefined {
  return typeof was === "string" && policyNameOf(was) === egressPolicyId ? was : (egressPolicyId ?? undefined);
}

function connectionNameOf(vnetConnection: string): string {
  return readVnetConnectionId(vnetConnection)?.name ?? vnetConnection;
}

/** The connection's name in the words that the state has for it, when it is the same one; not every view tells it. */
function connectionOf(view: SandboxView, was: unknown): { vnetConnection?: string } {
  const name = view.vnetConnectionName ?? view.customerVnetConnectionName;
  if (!name) return {};
  const isSame = typeof was === "string" && connectionNameOf(was).toLowerCase() === name.toLowerCase();
  return { vnetConnection: isSame ? was : name };
}

/** In which an unfinished sandbox is as good as new. Azure suspends by itself what nobody uses. */
const usableStates = {
  microvm: new Set(["Running", "Creating"]),
  azure: new Set(["Running", "Creating", "Idle", "Stopped"]),
};

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

function outputsOf({ id, state, createdAt, isolation, resources, ports }: SandboxView): z.input<typeof outputs> {
  const given = resources && { ...resources, disk: resources.disk ?? undefined };
  const more = { resources: given ?? undefined, urls: portUrls(ports) };
  return { sandboxId: id, state, createdAt: createdAt ?? undefined, isolation, ...more };
}
