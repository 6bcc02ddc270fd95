import { existsSync } from "node:fs";
import { isAbsolute } from "node:path";
import { SandboxesError } from "../../client/errors";
import { recipeNames } from "./recipes";

/** Where an image comes from. `canonical` is the reference with nothing left implied; equal ones mean the same place. */
export type ImageReference =
  | { kind: "catalogue"; canonical: string; name: string }
  | { kind: "ociLayout" | "dockerArchive"; canonical: string; path: string; tag?: string }
  | { kind: "rootfs"; canonical: string; path: string }
  | RegistryReference;

export interface RegistryReference {
  kind: "registry";
  canonical: string;
  host: string;
  repository: string;
  tag?: string;
  digest?: string;
}

const localKinds: Record<string, "ociLayout" | "dockerArchive" | "rootfs"> = {
  oci: "ociLayout",
  "docker-archive": "dockerArchive",
  rootfs: "rootfs",
};

/** A reference to something that exists already, other than what the catalogue names. */
export type PlaceReference = Exclude<ImageReference, { kind: "catalogue" }>;

/**
 * Tells what a reference names; rejects with `Invalid` what can name nothing. Nothing is looked up. `inCatalogue` tells
 * the host's own names; without it only those of recipes are known.
 */
export function parseImageReference(
  reference: string,
  inCatalogue: (name: string) => boolean = (name) => recipeNames.includes(name),
): ImageReference {
  const text = reference.trim();
  return inCatalogue(text) ? { kind: "catalogue", canonical: text, name: text } : parsePlaceReference(reference);
}

/** The same where a name of the catalogue means nothing: in the catalogue itself. */
export function parsePlaceReference(reference: string): PlaceReference {
  const text = reference.trim();
  const [, scheme, rest] = /^([a-z-]+):(.*)$/s.exec(text) ?? [];
  const kind = scheme === undefined ? undefined : localKinds[scheme];
  // `oci:1.0` is a registry's image; only paths follow our schemes.
  if (kind && rest !== undefined && /^[./~]/.test(rest)) return localReference(kind, scheme as string, rest, reference);
  return registryReference(text.replace(/^docker:\/\//, ""), reference);
}

/** Whether the reference names files of the host; callers allow that to local users only. */
export function isLocalReference(reference: ImageReference): boolean {
  return reference.kind === "ociLayout" || reference.kind === "dockerArchive" || reference.kind === "rootfs";
}

function localReference(
  kind: "ociLayout" | "dockerArchive" | "rootfs",
  scheme: string,
  rest: string,
  reference: string,
): PlaceReference {
  if (!isAbsolute(rest) || rest.includes("\0")) {
    throw invalid(reference, "its path is not absolute", `write ${scheme}:/absolute/path`);
  }
  if (kind === "rootfs") return { kind, canonical: `${scheme}:${rest}`, path: rest };
  const { path, tag } = pathAndTag(rest);
  return { kind, canonical: `${scheme}:${rest}`, path, ...(tag !== undefined && { tag }) };
}

/** Both may hold colons: the first one after something that exists separates them, else the first of all. */
function pathAndTag(rest: string): { path: string; tag?: string } {
  if (existsSync(rest)) return { path: rest };
  const colons = [...rest.matchAll(/:/g)].map(({ index }) => index);
  const colon = colons.find((index) => existsSync(rest.slice(0, index))) ?? colons[0];
  return colon === undefined ? { path: rest } : { path: rest.slice(0, colon), tag: rest.slice(colon + 1) };
}

/** Docker's rules: a first component with a dot, a colon or `localhost` is a host; else docker.io is meant. */
function registryReference(text: string, reference: string): RegistryReference {
  const [, named, digest] = /^([^@]*)(?:@(.+))?$/s.exec(text) ?? [];
  const [, name, tag] = /^(.*?)(?::([^:/]*))?$/s.exec(named ?? "") ?? [];
  const slash = (name ?? "").indexOf("/");
  const first = slash < 0 ? "" : (name as string).slice(0, slash);
  const hasHost = first === "localhost" || /[.:]/.test(first);
  const host = hasHost ? first.replace(/^index\.docker\.io$/, "docker.io") : "docker.io";
  const path = hasHost ? (name as string).slice(slash + 1) : (name ?? "");
  const repository = host === "docker.io" && !path.includes("/") ? `library/${path}` : path;
  if (!/^(?:[a-zA-Z0-9]+(?:[.-]+[a-zA-Z0-9]+)*|\[[0-9a-fA-F:]+\])(?::[0-9]{1,5})?$/.test(host)) {
    throw invalid(reference, `${JSON.stringify(host)} is no registry host`);
  }
  if (!/^[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*(?:\/[a-z0-9]+(?:(?:[._]|__|-+)[a-z0-9]+)*)*$/.test(repository)) {
    throw invalid(reference, `${JSON.stringify(path)} is no repository name`, "names are lower case, as python:3.12");
  }
  if (repository.length > 255) throw invalid(reference, "its name is longer than 255 characters");
  if (tag !== undefined && !/^[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}$/.test(tag)) {
    throw invalid(reference, `${JSON.stringify(tag)} is no tag`);
  }
  if (digest !== undefined && !/^sha256:[0-9a-f]{64}$/.test(digest)) {
    throw invalid(reference, "its digest is not sha256: and 64 hex digits");
  }
  const base = { kind: "registry", host, repository } as const;
  // A digest settles it; a tag beside it is a comment.
  if (digest !== undefined) return { ...base, digest, canonical: `${host}/${repository}@${digest}` };
  return { ...base, tag: tag ?? "latest", canonical: `${host}/${repository}:${tag ?? "latest"}` };
}

function invalid(reference: string, why: string, hint?: string): SandboxesError {
  const options = "catalogue names, registry references, oci:/dir[:tag], docker-archive:/file[:tag], rootfs:/file.tar";
  return new SandboxesError("Invalid", `image reference ${JSON.stringify(reference)}: ${why}`, {
    hint: hint ?? `an image is one of: ${options}`,
  });
}
