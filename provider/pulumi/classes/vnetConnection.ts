import * as pulumi from "@pulumi/pulumi";
import { resourceId } from "../resourceId";
import { resourceKey } from "../resourceKey";
import { deletingGroup, type SandboxGroup, targetOfGroup } from "./sandboxGroup";
import { TrampolinedResource } from "./trampolinedResource";

const type = "pulumi-nodejs:dynamic/sandboxes:VnetConnection";

export interface VnetConnectionArgs {
  /** The group, or its id. */
  group: pulumi.Input<SandboxGroup | string>;
  /** ARM id of a subnet that is delegated to `Microsoft.App/environments`. Replaces. */
  subnetId: pulumi.Input<string>;
}

/** A group's way into a virtual network, on Azure only; for sandboxes that name it as `vnetConnection`. */
export class VnetConnection extends TrampolinedResource {
  /** Id of the group. */
  declare readonly group: pulumi.Output<string>;
  declare readonly subnetId: pulumi.Output<string>;
  /** Made from the resource's name, so that it is found again after a lost answer. */
  declare readonly name: pulumi.Output<string>;
  declare readonly provisioningState: pulumi.Output<string | undefined>;

  constructor(name: string, args: VnetConnectionArgs, opts: pulumi.CustomResourceOptions = {}) {
    const { group, subnetId } = args;
    const inputs = {
      group: group && resourceId(group),
      subnetId,
      __key: resourceKey(type, name, opts.parent),
      __logicalName: name,
      __target: group && targetOfGroup(group),
    };
    const outputs = { name: undefined, provisioningState: undefined };
    const deletedWith = opts.id === undefined ? deletingGroup(group) : undefined;
    const options = pulumi.mergeOptions({ deletedWith }, opts);
    super("vnetConnection", type, name, { ...inputs, ...outputs }, options);
  }

  /** An existing connection by its id; it is read, never changed. */
  static get(name: string, id: pulumi.Input<pulumi.ID>, opts: pulumi.CustomResourceOptions = {}): VnetConnection {
    return new VnetConnection(name, {} as VnetConnectionArgs, { ...opts, id });
  }

  /** True also for an instance from another loaded copy of this package. */
  static override isInstance(value: unknown): value is VnetConnection {
    return pulumi.CustomResource.isInstance(value) && (value as { __pulumiType?: string }).__pulumiType === type;
  }
}
