import { isGuid } from "../client/wire/identifiers";
import type { SandboxSource, SandboxView } from "../client/wire/sandboxes";
import type { CheckFailure } from "../pulumi/checkInputs";
import type { PropertyBag } from "../pulumi/propertyBag";
import { type MemberKind, type MemberRef, memberIdOf, readMemberId } from "./ids";

/** What a snapshot settles for all sandboxes made from it. */
const settledBySnapshot = ["cpu", "memory", "disk", "env", "entrypoint", "cmd"];

/** What a sandbox is made from, for the wire. */
export function sourceOf({ image, snapshot }: { image?: string; snapshot?: string }): SandboxSource {
  if (snapshot !== undefined) return { snapshot: { id: readMember(snapshot, "snapshots") ?? snapshot } };
  const id = readMember(String(image), "diskimages");
  return { diskImage: id ? { id } : { name: image, isPublic: true } };
}

/** The source that a service tells, in the words that the state has for it, when it is the same one. */
export function sourceInputs(view: SandboxView, ref: MemberRef, state: PropertyBag): SourceInputs {
  const { snapshot, diskImage } = view.sourcesRef ?? {};
  if (snapshot) return { snapshot: wordsFor(snapshot.id, "snapshots", ref, state.snapshot), image: undefined };
  const image = diskImage?.id ? wordsFor(diskImage.id, "diskimages", ref, state.image) : (diskImage?.name ?? undefined);
  return { image, snapshot: undefined };
}

interface SourceInputs {
  image: string | undefined;
  snapshot: string | undefined;
}

/** What is wrong with the choice of a source. */
export function sourceFailures(inputs: PropertyBag): CheckFailure[] {
  const { image, snapshot } = inputs;
  if ((image === undefined) === (snapshot === undefined)) {
    const property = image === undefined ? "image" : "snapshot";
    return [{ property, reason: "give one of image and snapshot" }];
  }
  if (snapshot === undefined) return [];
  const settled = settledBySnapshot.filter((name) => inputs[name] !== undefined);
  const reason = "a sandbox made from a snapshot has the snapshot's: leave it out, or make it from an image";
  // The engine prints the value of the property that a failure names.
  return settled.map((name) =>
    name === "env" ? { property: "", reason: `env: ${reason}` } : { property: name, reason },
  );
}

function readMember(text: string, kind: MemberKind): string | undefined {
  return readMemberId(text, kind)?.memberId ?? (isGuid(text) ? text : undefined);
}

function wordsFor(id: string, kind: MemberKind, ref: MemberRef, was: unknown): string {
  return typeof was === "string" && readMember(was, kind) === id ? was : memberIdOf(ref, kind, id);
}
