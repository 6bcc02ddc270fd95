import * as pulumi from "@pulumi/pulumi";
import { resourceId } from "../resourceId";
import { resourceKey } from "../resourceKey";
import type { Sandbox } from "./sandbox";
import { deletingGroup, type SandboxGroup, targetOfGroup } from "./sandboxGroup";
import { TrampolinedResource } from "./trampolinedResource";

const type = "pulumi-nodejs:dynamic/sandboxes:Snapshot";

export interface SnapshotArgs {
  /** The group, or its id. */
  group: pulumi.Input<SandboxGroup | string>;
  /** A sandbox of the group, or its id. One that is stopped is resumed for the moment, and stopped again. */
  sandbox: pulumi.Input<Sandbox | string>;
  /** Values of at most 63 characters. */
  labels?: pulumi.Input<Record<string, pulumi.Input<string>>>;
}

/**
 * Memory, programs and files of a sandbox at the moment when this is created, to make sandboxes from. It is not made
 * anew when the sandbox goes on; every change replaces it, a replaced sandbox too. It holds what the sandbox's memory
 * held, secrets included.
 */
export class Snapshot extends TrampolinedResource {
  /** Id of the group. */
  declare readonly group: pulumi.Output<string>;
  /** Id of the sandbox; it may be gone. */
  declare readonly sandbox: pulumi.Output<string>;
  declare readonly labels: pulumi.Output<Record<string, string> | undefined>;
  /** Id within the group; the resource's own `id` holds it too. */
  declare readonly snapshotId: pulumi.Output<string>;
  declare readonly createdAt: pulumi.Output<string | undefined>;
  declare readonly sizeInMB: pulumi.Output<number | undefined>;
  /** What sandboxes made from it have. */
  declare readonly resources: pulumi.Output<{ cpu: string; memory: string; disk?: string } | undefined>;

  constructor(name: string, args: SnapshotArgs, opts: pulumi.CustomResourceOptions = {}) {
    const { group, sandbox, labels } = args;
    const inputs = {
      group: group && resourceId(group),
      sandbox: sandbox && resourceId(sandbox),
      labels,
      __key: resourceKey(type, name, opts.parent),
      __target: group && targetOfGroup(group),
    };
    const outputs = { snapshotId: undefined, createdAt: undefined, sizeInMB: undefined, resources: undefined };
    const deletedWith = opts.id === undefined ? deletingGroup(group) : undefined;
    const options = pulumi.mergeOptions({ deletedWith }, opts);
    super("snapshot", type, name, { ...inputs, ...outputs }, options);
  }

  /** An existing snapshot by its id; it is read, never changed. */
  static get(name: string, id: pulumi.Input<pulumi.ID>, opts: pulumi.CustomResourceOptions = {}): Snapshot {
    return new Snapshot(name, {} as SnapshotArgs, { ...opts, id });
  }

  /** True also for an instance from another loaded copy of this package. */
  static override isInstance(value: unknown): value is Snapshot {
    return pulumi.CustomResource.isInstance(value) && (value as { __pulumiType?: string }).__pulumiType === type;
  }
}
