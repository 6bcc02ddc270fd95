import * as pulumi from "@pulumi/pulumi";
import type { SandboxCosts } from "../idleCost";
import { noteIdleCost } from "../idleCostNote";
import { resourceId } from "../resourceId";
import { resourceKey } from "../resourceKey";
import type { DeepInput } from "./deepInput";
import type { DiskImage } from "./diskImage";
import type { EgressArgs } from "./egressArgs";
import type { EgressPolicy } from "./egressPolicy";
import type { LifecycleArgs } from "./lifecycleArgs";
import { type ContentPackageDownload, type PodArgs, podProps } from "./podArgs";
import type { PortArgs } from "./portArgs";
import { deletingGroup, type SandboxGroup, targetOfGroup } from "./sandboxGroup";
import type { Snapshot } from "./snapshot";
import type { TelemetryConfig } from "./telemetryArgs";
import { TrampolinedResource } from "./trampolinedResource";
import type { VnetConnection } from "./vnetConnection";
import { type VolumeMountArgs, volumeMounts } from "./volumeMountArgs";

const type = "pulumi-nodejs:dynamic/sandboxes:Sandbox";

export interface SandboxArgs {
  /** The group, or its id. */
  group: pulumi.Input<SandboxGroup | string>;
  /** An image of the group, its id, or a catalogue name (`python`, `debian`). */
  image?: pulumi.Input<DiskImage | string>;
  /** Instead of `image`: a snapshot of the group, or its id. Size, environment and programs are the snapshot's. */
  snapshot?: pulumi.Input<Snapshot | string>;
  /** Instead of `image`, on Azure only: a coding agent that Azure has prepared. */
  preset?: pulumi.Input<"Claude" | "GitHubCopilot">;
  /** Instead of `image`, on Azure only: several containers. */
  pod?: pulumi.Input<PodArgs>;
  /** Instead of `image`, on Azure only: a version of an artifact, and the identity that reads it. */
  artifactVersion?: DeepInput<{ id: string; identity: string }>;
  /** Of the preset `Claude`. Kept secret. */
  anthropicApiKey?: pulumi.Input<string>;
  /** Of the preset `GitHubCopilot`. */
  presetProperties?: DeepInput<{ isWorkIqConnectionEnabled?: boolean }>;
  /** Processors: `"1000m"`, `"0.5"` or `2`. Default `1000m`. */
  cpu?: pulumi.Input<string | number>;
  /** `"512Mi"`, `"2Gi"`. Default `512Mi`, on Azure `2048Mi`. */
  memory?: pulumi.Input<string>;
  /** Writable disk, `"10Gi"`. Default `10240Mi`, on Azure by the service. */
  disk?: pulumi.Input<string>;
  /** Environment variables of all that runs in it. Kept secret. */
  env?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /** Replaces the image's own. */
  entrypoint?: pulumi.Input<pulumi.Input<string>[]>;
  /** Replaces the image's own. */
  cmd?: pulumi.Input<pulumi.Input<string>[]>;
  /** Values of at most 63 characters. */
  labels?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /** Ports that HTTP is forwarded to; their addresses are in `urls`. Changed in place. */
  ports?: pulumi.Input<pulumi.Input<PortArgs>[]>;
  /** What may leave; by default nothing, on Azure everything. Changed in place. */
  egress?: pulumi.Input<EgressArgs>;
  /** Instead of `egress`: a policy of the group, its id or its name. */
  egressPolicy?: pulumi.Input<EgressPolicy | string>;
  /** On Azure only: a connection of the group to a virtual network, its id or its name. */
  vnetConnection?: pulumi.Input<VnetConnection | string>;
  /** On Azure only: identities of the group, `system` or an ARM id, that programs in it get tokens of. */
  identitySettings?: pulumi.Input<
    pulumi.Input<{ identity: pulumi.Input<string>; lifecycle?: pulumi.Input<"None" | "Main" | "All"> }>[]
  >;
  /** On Azure only: the agent identity that is assigned to it. */
  agentIdentity?: DeepInput<{ tenantId: string; agentId: string }>;
  /** On Azure only: ids of connections of the group. */
  connections?: DeepInput<string[]>;
  /** On Azure only: ARM ids of an AI gateway's MCP server configurations, or of a connector gateway's connections. */
  gatewayConnections?: DeepInput<string[]>;
  /** On Azure only: names of credentials of the group, for coding agents. */
  credentialRefs?: DeepInput<string[]>;
  /** On Azure only: content packages of the group, and where their files are to be. */
  contentPackageDownloads?: DeepInput<ContentPackageDownload[]>;
  /** On Azure only: where output and measurements go. */
  telemetryConfig?: DeepInput<TelemetryConfig>;
  /** On Azure only: the project that it belongs to. */
  projectId?: pulumi.Input<string>;
  /** Volumes of the group. A change replaces the sandbox: the old one is deleted first, for a volume may be for one. */
  volumes?: pulumi.Input<pulumi.Input<VolumeMountArgs>[]>;
  /**
   * When it is suspended because nobody uses it, and when deleted. By default neither; Azure suspends after 300 idle
   * seconds. Changed in place.
   */
  lifecycle?: pulumi.Input<LifecycleArgs>;
}

/**
 * A virtual machine to run code in. Every change but of `labels`, `ports`, `egress` and `lifecycle` replaces it, on Azure
 * that of `labels` too.
 */
export class Sandbox extends TrampolinedResource {
  /** Id of the group. */
  declare readonly group: pulumi.Output<string>;
  /** Id of the image, or its catalogue name. */
  declare readonly image: pulumi.Output<string | undefined>;
  /** Id of the snapshot. */
  declare readonly snapshot: pulumi.Output<string | undefined>;
  declare readonly labels: pulumi.Output<Record<string, string> | undefined>;
  /** Id within the group; the resource's own `id` holds it too. */
  declare readonly sandboxId: pulumi.Output<string>;
  declare readonly state: pulumi.Output<string>;
  declare readonly createdAt: pulumi.Output<string | undefined>;
  /** `emulated` and `none` are no security boundary. */
  declare readonly isolation: pulumi.Output<"hardware" | "emulated" | "none" | undefined>;
  /** What it was given, normalised: `1000m`, `512Mi`. */
  declare readonly resources: pulumi.Output<{ cpu: string; memory: string; disk?: string } | undefined>;

  /** Addresses of its ports, by number: `{"8080": "https://…"}`. */
  declare readonly urls: pulumi.Output<Record<string, string> | undefined>;

  constructor(name: string, args: SandboxArgs, opts: pulumi.CustomResourceOptions = {}) {
    const { group, image, snapshot, pod, env, anthropicApiKey, ...others } = args;
    const { egressPolicy, vnetConnection, volumes, ...plain } = others;
    const inputs = {
      ...plain,
      group: group && resourceId(group),
      image: image && resourceId(image),
      snapshot: snapshot && resourceId(snapshot),
      egressPolicy: egressPolicy && resourceId(egressPolicy),
      vnetConnection: vnetConnection && resourceId(vnetConnection),
      volumes: volumes && volumeMounts(volumes),
      pod: pod && podProps(pod),
      env: env && pulumi.secret(env),
      anthropicApiKey: anthropicApiKey && pulumi.secret(anthropicApiKey),
      __key: resourceKey(type, name, opts.parent),
      __target: group && targetOfGroup(group),
    };
    const outputs = { sandboxId: undefined, state: undefined, createdAt: undefined, isolation: undefined };
    const deletedWith = opts.id === undefined ? deletingGroup(group) : undefined;
    const props = { ...inputs, ...outputs, resources: undefined, urls: undefined };
    super("sandbox", type, name, props, pulumi.mergeOptions({ deletedWith }, opts));
    const { cpu, memory, lifecycle } = args;
    const costs = { name, cpu, memory, lifecycle, isCopy: [image, cpu, memory].every((each) => each === undefined) };
    if (opts.id === undefined && group) noteIdleCost(this, targetOfGroup(group), costs as pulumi.Input<SandboxCosts>);
  }

  /** An existing sandbox by its id; it is read, never changed. */
  static get(name: string, id: pulumi.Input<pulumi.ID>, opts: pulumi.CustomResourceOptions = {}): Sandbox {
    return new Sandbox(name, {} as SandboxArgs, { ...opts, id });
  }

  /** True also for an instance from another loaded copy of this package. */
  static override isInstance(value: unknown): value is Sandbox {
    return pulumi.CustomResource.isInstance(value) && (value as { __pulumiType?: string }).__pulumiType === type;
  }
}
