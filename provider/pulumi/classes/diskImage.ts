import * as pulumi from "@pulumi/pulumi";
import { resourceId } from "../resourceId";
import { resourceKey } from "../resourceKey";
import type { Sandbox } from "./sandbox";
import { deletingGroup, type SandboxGroup, targetOfGroup } from "./sandboxGroup";
import { TrampolinedResource } from "./trampolinedResource";
import type { VnetConnection } from "./vnetConnection";

const type = "pulumi-nodejs:dynamic/sandboxes:DiskImage";

export interface DiskImageArgs {
  /** The group, or its id. */
  group: pulumi.Input<SandboxGroup | string>;
  /**
   * Catalogue name (`python`, `debian`), registry reference (`python:3.12`), or `oci:DIR[:TAG]`,
   * `docker-archive:FILE[:TAG]`, `rootfs:FILE` with a path seen from the program's folder.
   */
  image?: pulumi.Input<string>;
  /** Instead of `image`: a sandbox of the group, or its id, whose files at the moment of the creation become the image. */
  sandbox?: pulumi.Input<Sandbox | string>;
  /** Instead of `image`, on Azure only: address of an image in blob storage. */
  blob?: pulumi.Input<string>;
  /** For the registry; used for the import only. Kept secret. */
  credentials?: pulumi.Input<{ username: pulumi.Input<string>; password: pulumi.Input<string> }>;
  /** Instead of `credentials`, on Azure only: `system`, or the ARM id of a managed identity of the group. */
  identity?: pulumi.Input<string>;
  /** On Azure only: a connection of the group to a network, to reach the registry by; used for the import only. */
  vnetConnection?: pulumi.Input<VnetConnection | string>;
  /** Replaces the image's own. */
  entrypoint?: pulumi.Input<pulumi.Input<string>[]>;
  /** Replaces the image's own. */
  cmd?: pulumi.Input<pulumi.Input<string>[]>;
  /** Command that runs once before sandboxes are cloned, so that they find what it loaded in memory. */
  warmUp?: pulumi.Input<pulumi.Input<string>[]>;
  /** Values of at most 63 characters. */
  labels?: pulumi.Input<Record<string, pulumi.Input<string>>>;
}

/** What sandboxes are made from, imported once and pinned by its digest. Every change but of `credentials`, `identity` and `vnetConnection` replaces. */
export class DiskImage extends TrampolinedResource {
  /** Id of the group. */
  declare readonly group: pulumi.Output<string>;
  declare readonly image: pulumi.Output<string | undefined>;
  declare readonly labels: pulumi.Output<Record<string, string> | undefined>;
  /** Id within the group; the resource's own `id` holds it too. */
  declare readonly diskImageId: pulumi.Output<string>;
  /** `sha256:…` that the reference pointed to at the import. */
  declare readonly digest: pulumi.Output<string | undefined>;
  declare readonly state: pulumi.Output<string>;
  declare readonly sizeInMB: pulumi.Output<number | undefined>;
  /** Where it was imported from. */
  declare readonly reference: pulumi.Output<string>;

  constructor(name: string, args: DiskImageArgs, opts: pulumi.CustomResourceOptions = {}) {
    const { group, sandbox, image, credentials, vnetConnection, labels, ...plain } = args;
    const inputs = {
      ...{ ...plain, group: group && resourceId(group), sandbox: sandbox && resourceId(sandbox), image, labels },
      credentials: credentials && pulumi.secret(credentials),
      vnetConnection: vnetConnection && resourceId(vnetConnection),
      __key: resourceKey(type, name, opts.parent),
      __target: group && targetOfGroup(group),
    };
    const outputs = { diskImageId: undefined, digest: undefined, state: undefined, sizeInMB: undefined };
    const deletedWith = opts.id === undefined ? deletingGroup(group) : undefined;
    const props = { ...inputs, ...outputs, reference: undefined };
    super("diskImage", type, name, props, pulumi.mergeOptions({ deletedWith }, opts));
  }

  /** An existing image by its id; it is read, never changed. */
  static get(name: string, id: pulumi.Input<pulumi.ID>, opts: pulumi.CustomResourceOptions = {}): DiskImage {
    return new DiskImage(name, {} as DiskImageArgs, { ...opts, id });
  }

  /** True also for an instance from another loaded copy of this package. */
  static override isInstance(value: unknown): value is DiskImage {
    return pulumi.CustomResource.isInstance(value) && (value as { __pulumiType?: string }).__pulumiType === type;
  }
}
