import * as pulumi from "@pulumi/pulumi";
import { resourceId } from "../resourceId";
import { resourceKey } from "../resourceKey";
import type { EgressArgs } from "./egressArgs";
import { deletingGroup, type SandboxGroup, targetOfGroup } from "./sandboxGroup";
import { TrampolinedResource } from "./trampolinedResource";

const type = "pulumi-nodejs:dynamic/sandboxes:EgressPolicy";

export interface EgressPolicyArgs extends EgressArgs {
  /** The group, or its id. */
  group: pulumi.Input<SandboxGroup | string>;
  /**
   * 1 to 63 letters, digits and dashes; by default the resource's name and ten digits. One that somebody else made is
   * never overwritten. Replaces.
   */
  name?: pulumi.Input<string>;
  /** For people. At most 200 characters. */
  description?: pulumi.Input<string>;
}

/** What may leave sandboxes, for all of the group that name it. A change holds at once, for running ones too. */
export class EgressPolicy extends TrampolinedResource {
  /** Id of the group. */
  declare readonly group: pulumi.Output<string>;
  /** What a sandbox is given as `egressPolicy`. */
  declare readonly name: pulumi.Output<string>;
  declare readonly description: pulumi.Output<string | undefined>;
  declare readonly defaultAction: pulumi.Output<"Allow" | "Deny">;
  declare readonly createdAt: pulumi.Output<string | undefined>;
  declare readonly updatedAt: pulumi.Output<string | undefined>;

  constructor(name: string, args: EgressPolicyArgs, opts: pulumi.CustomResourceOptions = {}) {
    const { group, ...plain } = args;
    const inputs = {
      ...{ name: undefined, defaultAction: undefined, description: undefined, ...plain },
      group: group && resourceId(group),
      __key: resourceKey(type, name, opts.parent),
      __logicalName: name,
      __target: group && targetOfGroup(group),
    };
    const outputs = { createdAt: undefined, updatedAt: undefined };
    const deletedWith = opts.id === undefined ? deletingGroup(group) : undefined;
    const options = pulumi.mergeOptions({ deletedWith }, opts);
    super("egressPolicy", type, name, { ...inputs, ...outputs }, options);
  }

  /** An existing policy by its id; it is read, never changed. */
  static get(name: string, id: pulumi.Input<pulumi.ID>, opts: pulumi.CustomResourceOptions = {}): EgressPolicy {
    return new EgressPolicy(name, {} as EgressPolicyArgs, { ...opts, id });
  }

  /** True also for an instance from another loaded copy of this package. */
  static override isInstance(value: unknown): value is EgressPolicy {
    return pulumi.CustomResource.isInstance(value) && (value as { __pulumiType?: string }).__pulumiType === type;
  }
}
