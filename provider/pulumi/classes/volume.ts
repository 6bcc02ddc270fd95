import * as pulumi from "@pulumi/pulumi";
import { resourceId } from "../resourceId";
import { resourceKey } from "../resourceKey";
import { deletingGroup, type SandboxGroup, targetOfGroup } from "./sandboxGroup";
import { TrampolinedResource } from "./trampolinedResource";

const type = "pulumi-nodejs:dynamic/sandboxes:Volume";

export type VolumeType = "AzureBlob" | "DataDisk" | "AzureBlobByo" | "AzureFileCifs" | "AzureFileNfs" | "Esan";

export interface VolumeArgs {
  /** The group, or its id. */
  group: pulumi.Input<SandboxGroup | string>;
  /**
   * 1 to 63 letters, digits, dots, dashes and underscores; by default the resource's name and ten digits. One that
   * somebody else made is never taken over. Replaces.
   */
  name?: pulumi.Input<string>;
  /**
   * `AzureBlob`: a directory for any number of sandboxes. `DataDisk`: for one at a time. On Azure only: `AzureBlobByo`, a
   * blob container of your own, `AzureFileCifs` and `AzureFileNfs`, shares of Azure Files, and `Esan`, of an Elastic SAN.
   * Replaces, and the files are gone.
   */
  type: pulumi.Input<VolumeType>;
  /**
   * `"10Gi"`; a `DataDisk` and an `Esan` need one, of an `AzureBlob` a host takes it as a limit. On a host it may grow in
   * place; on Azure a change replaces the disk, and the files are gone.
   */
  size?: pulumi.Input<string>;
  /** Values of at most 63 characters. Changed in place. */
  labels?: pulumi.Input<Record<string, pulumi.Input<string>>>;
  /** ARM id of the container of an `AzureBlobByo`. Replaces. */
  storageContainerResourceId?: pulumi.Input<string>;
  /** Who opens that container: `system`, or the ARM id of a managed identity of the group. Replaces. */
  identity?: pulumi.Input<string>;
}

/** Files that outlive sandboxes. They are deleted with it: `protect` and `retainOnDelete` keep them. */
export class Volume extends TrampolinedResource {
  /** Id of the group. */
  declare readonly group: pulumi.Output<string>;
  declare readonly name: pulumi.Output<string>;
  declare readonly type: pulumi.Output<VolumeType>;
  declare readonly size: pulumi.Output<string | undefined>;
  declare readonly labels: pulumi.Output<Record<string, string> | undefined>;
  declare readonly provisioningState: pulumi.Output<string | undefined>;
  /** Of an `Esan`: `Premium_LRS` or `Premium_ZRS`, as the service chose. */
  declare readonly sku: pulumi.Output<string | undefined>;

  constructor(name: string, args: VolumeArgs, opts: pulumi.CustomResourceOptions = {}) {
    const { group, name: volumeName, type: kind, size, labels, storageContainerResourceId, identity } = args;
    const inputs = {
      ...{ name: volumeName, type: kind, size, labels, storageContainerResourceId, identity },
      group: group && resourceId(group),
      __key: resourceKey(type, name, opts.parent),
      __logicalName: name,
      __target: group && targetOfGroup(group),
    };
    const deletedWith = opts.id === undefined ? deletingGroup(group) : undefined;
    const options = pulumi.mergeOptions({ deletedWith }, opts);
    super("volume", type, name, { ...inputs, provisioningState: undefined, sku: undefined }, options);
  }

  /** An existing volume by its id; it is read, never changed. */
  static get(name: string, id: pulumi.Input<pulumi.ID>, opts: pulumi.CustomResourceOptions = {}): Volume {
    return new Volume(name, {} as VolumeArgs, { ...opts, id });
  }

  /** True also for an instance from another loaded copy of this package. */
  static override isInstance(value: unknown): value is Volume {
    return pulumi.CustomResource.isInstance(value) && (value as { __pulumiType?: string }).__pulumiType === type;
  }
}
