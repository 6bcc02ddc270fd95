import * as pulumi from "@pulumi/pulumi";
import { resourceKey } from "../resourceKey";
import { TrampolinedResource } from "./trampolinedResource";

const type = "pulumi-nodejs:dynamic/sandboxes:SandboxGroup";

export interface SandboxGroupArgs {
  /** 1 to 63 letters, digits and inner dashes; by default the resource's name and seven random digits. Replaces. */
  name?: pulumi.Input<string>;
  /** Region; by default the configured `sandboxes:location`, else `local`. Replaces. */
  location?: pulumi.Input<string>;
  tags?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /** Resource group; by default the configured `sandboxes:resourceGroupName`, else `local`. Replaces. */
  resourceGroupName?: pulumi.Input<string>;
  /** Refuse a host that can only emulate virtual machines, which is no security boundary. Default false. */
  requireHardwareIsolation?: pulumi.Input<boolean>;
  /** On Azure only: managed identity, which sandboxes may be given and images pulled by. Changed in place. */
  identity?: pulumi.Input<{
    type: pulumi.Input<"SystemAssigned" | "UserAssigned" | "SystemAssigned, UserAssigned">;
    /** ARM ids. */
    userAssignedIdentities?: pulumi.Input<pulumi.Input<string>[]>;
  }>;
  /** On Azure only: ARM id of a managed environment. It can be added in place; every other change replaces. */
  environmentId?: pulumi.Input<string>;
  /**
   * On Azure only: give whoever deploys the role Container Apps SandboxGroup Data Owner of this group, without which
   * nothing in it can be made. An assignment that is there is left alone; one of ours ends with the group. Default false.
   */
  assignDataOwner?: pulumi.Input<boolean>;
  /** `microvm`, the default, or `azure`; by default the configured `sandboxes:target`. Replaces. */
  target?: pulumi.Input<"microvm" | "azure">;
}

/** Groups that end with their stack, and all in them. */
const owned = new WeakSet<SandboxGroup>();

/**
 * For `deletedWith` of what is in a group: the engine then deletes only the group. Undefined for a group that is only
 * read, is kept, or is known by its id alone: what is in it must be deleted one by one.
 */
export function deletingGroup(group: unknown): SandboxGroup | undefined {
  return group instanceof SandboxGroup && owned.has(group) ? group : undefined;
}

/** For what is in a group: the group's target. Undefined where only an id is given; then `check` tells it by the id. */
export function targetOfGroup(group: pulumi.Input<SandboxGroup | string>): pulumi.Output<string | undefined> {
  if (SandboxGroup.isInstance(group)) return group.target;
  const known = pulumi.output(group) as unknown as pulumi.Output<SandboxGroup | string>;
  return known.apply(
    (value): pulumi.Output<string | undefined> => (typeof value === "string" ? pulumi.output(undefined) : value.target),
  );
}

/** A set of sandboxes and disk images; deleting it deletes all in it. Its id is an ARM id. */
export class SandboxGroup extends TrampolinedResource {
  declare readonly name: pulumi.Output<string>;
  declare readonly location: pulumi.Output<string>;
  declare readonly tags: pulumi.Output<Record<string, string> | undefined>;
  declare readonly requireHardwareIsolation: pulumi.Output<boolean>;
  /** Where it is. */
  declare readonly target: pulumi.Output<"microvm" | "azure">;
  /** Address of the data plane. */
  declare readonly managementEndpoint: pulumi.Output<string | undefined>;
  declare readonly provisioningState: pulumi.Output<string | undefined>;
  /** What its sandboxes get; `emulated` and `none` are no security boundary. */
  declare readonly isolation: pulumi.Output<"hardware" | "emulated" | "none" | undefined>;
  /** Object id of the system-assigned identity. */
  declare readonly principalId: pulumi.Output<string | undefined>;
  declare readonly tenantId: pulumi.Output<string | undefined>;
  /** Parent domain of the addresses of ports, with an environment. */
  declare readonly defaultDomain: pulumi.Output<string | undefined>;
  /** ARM id of the role assignment, where it is ours. */
  declare readonly roleAssignmentId: pulumi.Output<string | undefined>;

  constructor(name: string, args: SandboxGroupArgs = {}, opts: pulumi.CustomResourceOptions = {}) {
    const { name: groupName, location, tags, resourceGroupName, target, ...plain } = args;
    const hidden = { __key: resourceKey(type, name, opts.parent), __logicalName: name };
    const outputs = { managementEndpoint: undefined, provisioningState: undefined, isolation: undefined };
    const more = { principalId: undefined, tenantId: undefined, defaultDomain: undefined, roleAssignmentId: undefined };
    const inputs = { ...plain, name: groupName, location, tags, resourceGroupName, target };
    const props = { requireHardwareIsolation: undefined, ...inputs, ...hidden, ...outputs, ...more };
    super("sandboxGroup", type, name, props, opts);
    if (opts.id === undefined && !opts.retainOnDelete) owned.add(this);
  }

  /** An existing group by its id; it is read, never changed. */
  static get(name: string, id: pulumi.Input<pulumi.ID>, opts: pulumi.CustomResourceOptions = {}): SandboxGroup {
    return new SandboxGroup(name, {}, { ...opts, id });
  }

  /** True also for an instance from another loaded copy of this package. */
  static override isInstance(value: unknown): value is SandboxGroup {
    return pulumi.CustomResource.isInstance(value) && (value as { __pulumiType?: string }).__pulumiType === type;
  }
}
