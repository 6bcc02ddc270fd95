import { z } from "zod";
import type { DiskImagesApi, NewDiskImage } from "../client/diskImages";
import { isSandboxesError } from "../client/errors";
import type { DiskImageView } from "../client/wire/diskImages";
import { type Context, defineResource } from "../pulumi/defineResource";
import { InitFailed } from "../pulumi/initFailed";
import { adoptOrCreate } from "./adoption";
import { groupIdInput, groupIdOf, type MemberRef, memberIdOf, readGroupId, requireMemberId } from "./ids";
import { absoluteReference, imageFailures, plainReference, sandboxIdOf } from "./imageSource";
import { keyInput, labelsInput, ownLabels, targetInput, userLabels } from "./ownLabels";
import { rules } from "./rules";
import { targetParity } from "./targetParity";
import { readVnetConnectionId } from "./vnetConnectionIds";
import { whileRunning } from "./whileRunning";

export const diskImageInputs = z.strictObject({
  group: groupIdInput,
  image: z
    .string()
    .min(1)
    .transform(absoluteReference)
    .describe("catalogue name (python), registry reference (python:3.12), or oci:, docker-archive:, rootfs: and a path")
    .optional(),
  sandbox: z
    .string()
    .refine((text) => sandboxIdOf(text) !== undefined, "not the id of a sandbox")
    .describe("instead of image: a Sandbox whose files, at the moment of the creation, become the image")
    .optional(),
  blob: z.url().describe("instead of image: address of an image in Azure's blob storage").optional(),
  credentials: z
    .strictObject({ username: z.string().min(1), password: z.string().min(1) })
    .meta({ secret: true })
    .describe("user name and password for the registry; used for the import only")
    .optional(),
  identity: z
    .string()
    .min(1)
    .describe('who pulls, instead of credentials: "system", or the ARM id of a managed identity of the group')
    .optional(),
  vnetConnection: z
    .string()
    .min(1)
    .describe("a VnetConnection of the group, its id or its name, to reach the registry by; used for the import only")
    .optional(),
  entrypoint: z.array(z.string()).describe("replaces the image's own entrypoint").optional(),
  cmd: z.array(z.string()).describe("replaces the image's own command").optional(),
  warmUp: z
    .array(z.string())
    .min(1)
    .describe("command that runs once before sandboxes are cloned, so that they find what it loaded in memory")
    .optional(),
  labels: labelsInput.optional(),
  __key: keyInput,
  __target: targetInput,
});

const outputs = z.object({
  diskImageId: z.string().describe("the image's id within its group"),
  digest: z.string().optional().describe("sha256 that the reference pointed to at the import"),
  state: z.string().describe("Building, Ready or Failed"),
  sizeInMB: z.number().optional().describe("size in MiB"),
  reference: z.string().describe("where it was imported from"),
});

/** What sandboxes are made from: an imported image, pinned by its digest. */
export const diskImage = defineResource({
  ...rules.DiskImage,
  token: "DiskImage",
  description: "An image that sandboxes are made from.",
  inputs: diskImageInputs,
  outputs,
  replaceOn: ["group", "image", "sandbox", "blob", "entrypoint", "cmd", "warmUp", "labels"],
  parity: targetParity.DiskImage,
  checkTarget: imageFailures,

  async create(inputs, { session, api, fingerprint }) {
    const { group, labels = {}, __key: key } = inputs;
    const ref = readGroupId(group);
    const { diskImages, sandboxes } = (await api(ref)).group(ref.groupName);
    const all = { ...labels, ...ownLabels(key, fingerprint) };
    const sandboxId = inputs.sandbox === undefined ? undefined : sandboxIdOf(inputs.sandbox);
    const idOf = (view: DiskImageView) => memberIdOf(ref, "diskimages", view.id);
    const { view } = await adoptOrCreate<DiskImageView>({
      key,
      fingerprint,
      list: () => diskImages.list(),
      labelsOf: (view) => view.labels,
      isKnown: (view) => session.knownIds.has(idOf(view)),
      createdAt: (view) => view.status.createdAt ?? undefined,
      isUsable: (view) => view.status.state !== "Failed",
      create: () =>
        sandboxId
          ? whileRunning(sandboxes, sandboxId, () => sandboxes.commit(sandboxId, { labels: all }))
          : diskImages.create(contentOf(inputs, all)),
      remove: (view) => diskImages.delete(view.id),
    });
    try {
      return { id: idOf(view), outputs: outputsOf(await ready(diskImages, view)) };
    } catch (error) {
      if (isImportFailure(error)) {
        await diskImages.delete(view.id);
        throw error;
      }
      throw new InitFailed(idOf(view), outputsOf(view), String(error), error);
    }
  },

  async read(id, state, context) {
    const { diskImages, ref } = await open(id, context);
    const view = await diskImages.get(ref.memberId);
    const { base, entrypoint, cmd } = view.image;
    const isSame = base && typeof state.image === "string" && plainReference(base) === plainReference(state.image);
    const inputs = {
      group: groupIdOf(ref),
      ...(base && { image: isSame ? String(state.image) : base }),
      ...(entrypoint && { entrypoint }),
      ...(cmd && { cmd }),
      labels: userLabels(view.labels),
    };
    return { inputs, outputs: outputsOf(view) };
  },

  async update(id, _inputs, _olds, context) {
    const { diskImages, ref } = await open(id, context);
    return outputsOf(await ready(diskImages, await diskImages.get(ref.memberId)));
  },

  async delete(id, _state, context) {
    const { diskImages, ref } = await open(id, context);
    await diskImages.delete(ref.memberId);
  },
});

async function open(id: string, { api }: Context): Promise<{ diskImages: DiskImagesApi; ref: MemberRef }> {
  const ref = requireMemberId(id, "diskimages");
  return { diskImages: (await api(ref)).group(ref.groupName).diskImages, ref };
}

async function ready(diskImages: DiskImagesApi, view: DiskImageView): Promise<DiskImageView> {
  return view.status.state === "Ready" ? view : diskImages.waitUntilReady(view.id);
}

function contentOf(inputs: z.output<typeof diskImageInputs>, labels: Record<string, string>): NewDiskImage {
  const { image = "", blob, credentials, identity, vnetConnection, entrypoint, cmd, warmUp } = inputs;
  return {
    image: { base: image, entrypoint, cmd },
    ...(warmUp && { warmUp }),
    labels,
    registryCredentials: credentials && { username: credentials.username, token: credentials.password },
    identity,
    blob,
    ...(vnetConnection && { vnetConnectionName: readVnetConnectionId(vnetConnection)?.name ?? vnetConnection }),
  };
}

/** The service said what is wrong with the image; to wait or to ask again changes nothing. */
function isImportFailure(error: unknown): boolean {
  return ["ImageNotFound", "ImageInvalid", "RegistryFailed", "Invalid", "Unauthorized", "Forbidden"].some(
    (code) => isSandboxesError(error) && error.code === code,
  );
}

function outputsOf(view: DiskImageView): z.input<typeof outputs> {
  return {
    diskImageId: view.id,
    digest: view.image.digest ?? undefined,
    state: view.status.state,
    sizeInMB: view.sizeInMB ?? undefined,
    reference: view.image.base ?? "",
  };
}
