import { isGuid } from "../client/wire/identifiers";
import type { SandboxSource } from "../client/wire/sandboxes";
import { type MemberKind, type MemberRef, memberIdOf, readMemberId } from "./ids";

type DiskImageSource = NonNullable<SandboxSource["diskImage"]>;

/** A disk image by its id, or a catalogue name, for the wire. */
export function imageSource(image: string): DiskImageSource {
  const id = readMember(image, "diskimages");
  return id ? { id } : { name: image, isPublic: true };
}

/** The image that a service tells, in the words that the state has for it, when it is the same one. */
export function imageInput({ id, name }: DiskImageSource, ref: MemberRef, was: unknown): string | undefined {
  return id ? wordsFor(id, "diskimages", ref, was) : (name ?? undefined);
}

/** The id within the group of what is given by an id of either kind. */
export function readMember(text: string, kind: MemberKind): string | undefined {
  return readMemberId(text, kind)?.memberId ?? (isGuid(text) ? text : undefined);
}

/** The id in the words of the state, when it says the same. */
export function wordsFor(id: string, kind: MemberKind, ref: MemberRef, was: unknown): string {
  return typeof was === "string" && readMember(was, kind) === id ? was : memberIdOf(ref, kind, id);
}
