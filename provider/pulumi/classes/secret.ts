import * as pulumi from "@pulumi/pulumi";
import { resourceId } from "../resourceId";
import { resourceKey } from "../resourceKey";
import { deletingGroup, type SandboxGroup, targetOfGroup } from "./sandboxGroup";
import { TrampolinedResource } from "./trampolinedResource";

const type = "pulumi-nodejs:dynamic/sandboxes:Secret";

export interface SecretArgs {
  /** The group, or its id. */
  group: pulumi.Input<SandboxGroup | string>;
  /**
   * 3 to 64 letters, digits and dashes; by default the resource's name and ten digits. One that somebody else made is
   * never overwritten. Replaces.
   */
  name?: pulumi.Input<string>;
  /** Texts by key. Kept secret. A change is written in place. */
  values: pulumi.Input<Record<string, pulumi.Input<string>>>;
}

/** Values that a group keeps for its egress rules. They are written, and never read back. */
export class Secret extends TrampolinedResource {
  /** Id of the group. */
  declare readonly group: pulumi.Output<string>;
  /** What egress rules call `secretId`. */
  declare readonly name: pulumi.Output<string>;
  /** As declared; a secret. */
  declare readonly values: pulumi.Output<Record<string, string>>;
  /** Names of the values, sorted. */
  declare readonly keys: pulumi.Output<string[]>;
  declare readonly createdAt: pulumi.Output<string | undefined>;
  /** When values were last written; somebody else's writing shows as a change of `values`. */
  declare readonly updatedAt: pulumi.Output<string | undefined>;

  constructor(name: string, args: SecretArgs, opts: pulumi.CustomResourceOptions = {}) {
    const { group, name: secretName, values } = args;
    const inputs = {
      group: group && resourceId(group),
      name: secretName,
      values: values && pulumi.secret(values),
      __key: resourceKey(type, name, opts.parent),
      __logicalName: name,
      __target: group && targetOfGroup(group),
    };
    const outputs = { keys: undefined, createdAt: undefined, updatedAt: undefined };
    const deletedWith = opts.id === undefined ? deletingGroup(group) : undefined;
    const options = pulumi.mergeOptions({ deletedWith }, opts);
    super("secret", type, name, { ...inputs, ...outputs }, options);
  }

  /** An existing secret by its id; it is read, never changed. Its values stay hidden. */
  static get(name: string, id: pulumi.Input<pulumi.ID>, opts: pulumi.CustomResourceOptions = {}): Secret {
    return new Secret(name, {} as SecretArgs, { ...opts, id });
  }

  /** True also for an instance from another loaded copy of this package. */
  static override isInstance(value: unknown): value is Secret {
    return pulumi.CustomResource.isInstance(value) && (value as { __pulumiType?: string }).__pulumiType === type;
  }
}
