import { z } from "zod";
import type { CreateSandboxContent, SandboxView } from "../client/wire/sandboxes";
import type { CheckFailure } from "../pulumi/checkInputs";
import { isBag, type PropertyBag } from "../pulumi/propertyBag";
import { unknownValue } from "../pulumi/unknowns";
import { asDeclared } from "./asDeclared";
import type { MemberRef } from "./ids";
import { imageInput, imageSource, readMember, wordsFor } from "./imageWords";
import { artifactContent, artifactVersionInput, podContent, podInput, podInputs } from "./podInput";

/** What a sandbox is made from: one of the first five. */
export const sourceFields = {
  image: z.string().min(1).describe("a DiskImage or its id, or a catalogue name such as python").optional(),
  snapshot: z
    .string()
    .min(1)
    .describe("instead of image: a Snapshot or its id; size, environment and programs are the snapshot's")
    .optional(),
  preset: z
    .enum(["Claude", "GitHubCopilot"])
    .describe("instead of image: a coding agent that Azure has prepared, Claude or GitHubCopilot")
    .optional(),
  pod: podInput.optional(),
  artifactVersion: artifactVersionInput.optional(),
  anthropicApiKey: z
    .string()
    .min(1)
    .meta({ secret: true })
    .describe("key of the preset Claude; kept secret")
    .optional(),
  presetProperties: z
    .strictObject({ isWorkIqConnectionEnabled: z.boolean().optional() })
    .describe("of the preset GitHubCopilot: {isWorkIqConnectionEnabled}")
    .optional(),
};

type Sources = z.output<z.ZodObject<typeof sourceFields>>;

const kinds = ["image", "snapshot", "preset", "pod", "artifactVersion"];

/** What a snapshot settles for all sandboxes made from it. */
const settledBySnapshot = ["cpu", "memory", "disk", "env", "entrypoint", "cmd"];

/** What a sandbox is made from, for the wire. */
export function sourceContent(inputs: Sources): Partial<CreateSandboxContent> {
  const { image, snapshot, preset, pod, artifactVersion, anthropicApiKey, presetProperties } = inputs;
  if (preset !== undefined) return { presetSandboxType: preset, anthropicApiKey, presetProperties };
  if (snapshot !== undefined) {
    return { sourcesRef: { snapshot: { id: readMember(snapshot, "snapshots") ?? snapshot } } };
  }
  if (pod) return { sourcesRef: { pod: podContent(pod) } };
  if (artifactVersion) return { sourcesRef: { artifactVersion: artifactContent(artifactVersion) } };
  return { sourcesRef: { diskImage: imageSource(String(image)) } };
}

/** The source that a service tells, in the words that the state has for it, when it is the same one. */
export function sourceInputs(view: SandboxView, ref: MemberRef, state: PropertyBag): PropertyBag {
  const { snapshot, diskImage, pod, artifactVersion } = view.sourcesRef ?? {};
  // Azure makes a preset's sandbox of an image of its own, and not every version tells the preset.
  const preset = view.presetSandboxType === "None" ? undefined : (view.presetSandboxType ?? state.preset);
  if (preset) return { preset };
  const none = Object.fromEntries(kinds.map((kind) => [kind, undefined]));
  if (snapshot) return { ...none, snapshot: wordsFor(snapshot.id, "snapshots", ref, state.snapshot) };
  if (pod) return { ...none, pod: podInputs(pod, ref, state.pod) };
  if (artifactVersion) {
    const { id, auth } = artifactVersion;
    return { ...none, artifactVersion: asDeclared(state.artifactVersion, { id, identity: auth.identity }) };
  }
  return { ...none, image: diskImage ? imageInput(diskImage, ref, state.image) : undefined };
}

/** What is wrong with the choice of a source. */
export function sourceFailures(inputs: PropertyBag): CheckFailure[] {
  const given = kinds.filter((kind) => inputs[kind] !== undefined);
  if (given.length !== 1) {
    return [{ property: given.at(-1) ?? "image", reason: `give one of ${kinds.join(", ")}` }];
  }
  if (inputs.snapshot !== undefined) {
    const settled = settledBySnapshot.filter((name) => inputs[name] !== undefined);
    const reason = "a sandbox made from a snapshot has the snapshot's: leave it out, or make it from an image";
    // The engine prints the value of the property that a failure names.
    return settled.map((name) =>
      name === "env" ? { property: "", reason: `env: ${reason}` } : { property: name, reason },
    );
  }
  return [...presetFailures(inputs), ...podFailures(inputs.pod)];
}

function presetFailures({ preset, anthropicApiKey, presetProperties }: PropertyBag): CheckFailure[] {
  const isFor = (name: string) => preset === name || preset === unknownValue;
  return [
    ...(anthropicApiKey !== undefined && !isFor("Claude")
      ? [{ property: "", reason: "anthropicApiKey: it goes with preset Claude only" }]
      : []),
    ...(presetProperties !== undefined && !isFor("GitHubCopilot")
      ? [{ property: "presetProperties", reason: "it goes with preset GitHubCopilot only" }]
      : []),
  ];
}

function podFailures(pod: unknown): CheckFailure[] {
  const containers = isBag(pod) && Array.isArray(pod.containers) ? pod.containers : [];
  return containers.flatMap((container, index) => {
    const isOne = !isBag(container) || (container.image === undefined) !== (container.artifactVersion === undefined);
    const property = `pod.containers[${index}].image`;
    return isOne ? [] : [{ property, reason: "give one of image and artifactVersion" }];
  });
}
