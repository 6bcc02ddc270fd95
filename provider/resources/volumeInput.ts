import { z } from "zod";
import type { SandboxesApi } from "../client/sandboxes";
import { mountpoint, type SandboxVolume } from "../client/wire/volumes";
import { definedOnly, isBag, type PropertyBag } from "../pulumi/propertyBag";
import { readNamedId } from "./namedIds";

const mount = z.strictObject({
  volume: z.string().min(1).describe("a Volume of the group, its id or its name"),
  mountpoint: mountpoint
    .transform((path) => path.replaceAll(/\/+/g, "/").replace(/\/$/, ""))
    .describe("absolute path in the sandbox"),
  readOnly: z.boolean().describe("default false").optional(),
});

/** The volumes of a sandbox. */
export const volumesInput = z
  .array(mount)
  .refine((all) => isUnique(all.map(({ volume }) => nameOf(volume))), "a volume stands here twice")
  .refine((all) => isUnique(all.map(({ mountpoint }) => mountpoint)), "a mountpoint stands here twice")
  .describe("volumes of the group, and where programs find them: [{volume, mountpoint, readOnly}]");
export type VolumesInput = z.output<typeof volumesInput>;

/** For the wire. */
export function volumesContent(input: VolumesInput): SandboxVolume[] {
  return input.map(({ volume, mountpoint, readOnly = false }) => ({
    volumeName: readName(volume),
    mountpoint,
    readOnly,
  }));
}

/** The volumes that a service tells, as inputs, in the order and the words in which they were declared. */
export function volumeInputs(
  live: readonly SandboxVolume[] | null | undefined,
  had: unknown,
): VolumesInput | undefined {
  if (!live) return undefined;
  const declared = (Array.isArray(had) ? had : []).filter(isBag);
  const placeOf = (name: string) => declared.findIndex((each) => nameOf(each.volume) === name.toLowerCase());
  const told = live.map(({ volumeName, mountpoint, readOnly }) => {
    const place = placeOf(volumeName);
    const was: PropertyBag = declared[place] ?? {};
    const volume = typeof was.volume === "string" ? was.volume : volumeName;
    const isSaid = was.readOnly !== undefined || readOnly === true;
    return { place, input: definedOnly({ volume, mountpoint, readOnly: isSaid ? (readOnly ?? false) : undefined }) };
  });
  const last = (place: number) => (place < 0 ? declared.length : place);
  return told.sort((one, other) => last(one.place) - last(other.place)).map(({ input }) => input);
}

/** Mounts what a copy of a snapshot was not given when it was made. There is no way to take a volume away. */
export async function bringVolumes(
  sandboxes: SandboxesApi,
  id: string,
  live: readonly SandboxVolume[] | null | undefined,
  wanted: VolumesInput,
): Promise<void> {
  const there = new Set((live ?? []).map(({ volumeName }) => volumeName.toLowerCase()));
  for (const each of volumesContent(wanted)) {
    if (!there.has(each.volumeName.toLowerCase())) await sandboxes.addVolume(id, each);
  }
}

/** True when two sandboxes would have a volume in common, which a DataDisk does not allow. */
export function shareVolumes(one: unknown, other: unknown): boolean {
  const namesOf = (value: unknown) =>
    Array.isArray(value) ? value.filter(isBag).map(({ volume }) => nameOf(volume)) : [];
  const names = new Set(namesOf(one));
  return namesOf(other).some((name) => names.has(name));
}

function readName(volume: string): string {
  return readNamedId(volume, "volumes")?.name ?? volume;
}

/** Services do not tell cases apart. */
function nameOf(volume: unknown): string {
  return readName(String(volume)).toLowerCase();
}

function isUnique(texts: string[]): boolean {
  return new Set(texts).size === texts.length;
}
