import { readFileSync } from "node:fs";
import { z } from "zod";
import { SandboxesError } from "../../client/errors";
import { type PlaceReference, parsePlaceReference } from "./imageReference";
import type { CatalogueEntry } from "./imageStore";
import { type Recipe, recipeNamed, recipeNames, recipeWith } from "./recipes";

/** What a name of the catalogue stands for. */
export type CatalogueSource =
  | { kind: "recipe"; recipe: Recipe }
  /** `standIn` is made instead where there is no way to the place. */
  | { kind: "place"; reference: PlaceReference; standIn?: Recipe };

/** The public disk images of a host: names that any caller may use, and what they stand for here. */
export interface Catalogue {
  /** Sorted by name. */
  entries: CatalogueEntry[];
  sourceOf(name: string): CatalogueSource | undefined;
}

const imageName = z
  .string()
  .regex(/^[a-z0-9](?:[a-z0-9._-]{0,62})$/, "a name has 1 to 63 small letters, digits, dots, dashes and underscores");

const debianPackage = z.string().regex(/^[a-z0-9][a-z0-9+.-]+$/, "that is no name of a Debian package");

/** `recipe:debian`, or any reference of an image. */
const shortSource = z.string().min(1);
const longSource = z.strictObject({
  source: shortSource,
  description: z.string().optional(),
  /** More of Debian's packages; for recipes only. */
  packages: z.array(debianPackage).optional(),
  /** The recipe that is made instead where the host has no way to the source, `recipe:debian`. */
  standIn: z.string().optional(),
});
/** `{"ubuntu": "recipe:debian", "tools": {"source": "recipe:debian", "packages": ["git"]}, "alpine": null}`. */
const catalogueFile = z.record(imageName, z.union([shortSource, longSource, z.null()]));
export type CatalogueFile = z.input<typeof catalogueFile>;

/** Azure's names where an image of the same content is public elsewhere; Debian's are made on the host itself. */
const defaults: CatalogueFile = {
  alpine: { source: "docker.io/library/alpine:3.22", description: "Alpine Linux 3.22, from Docker Hub." },
  debian: "recipe:debian",
  dotnet: { source: "mcr.microsoft.com/dotnet/sdk:9.0", description: ".NET SDK 9.0, from Microsoft's registry." },
  "dotnet-8": { source: "mcr.microsoft.com/dotnet/sdk:8.0", description: ".NET SDK 8.0, from Microsoft's registry." },
  "dotnet-9": { source: "mcr.microsoft.com/dotnet/sdk:9.0", description: ".NET SDK 9.0, from Microsoft's registry." },
  node: { source: "docker.io/library/node:22-bookworm", description: "Node.js 22 on Debian 12, from Docker Hub." },
  "node-22": { source: "docker.io/library/node:22-bookworm", description: "Node.js 22 on Debian 12, from Docker Hub." },
  "php-8.3": {
    source: "docker.io/library/php:8.3-cli-bookworm",
    description: "PHP 8.3 on Debian 12, from Docker Hub.",
  },
  "php-8.4": {
    source: "docker.io/library/php:8.4-cli-bookworm",
    description: "PHP 8.4 on Debian 12, from Docker Hub.",
  },
  playwright: {
    source: "mcr.microsoft.com/playwright:v1.56.0-noble",
    description: "Playwright with its browsers on Ubuntu 24.04, from Microsoft's registry.",
  },
  python: "recipe:python",
  "python-3.12": {
    source: "docker.io/library/python:3.12-bookworm",
    description: "Python 3.12 on Debian 12, from Docker Hub.",
  },
  "python-3.14": {
    source: "docker.io/library/python:3.14-bookworm",
    description: "Python 3.14 on Debian 12, from Docker Hub.",
  },
  // What Azure's SDKs ask for when their caller says nothing: a host without a registry has to have one.
  ubuntu: {
    standIn: "recipe:debian",
    source: "docker.io/library/ubuntu:24.04",
    description: "Ubuntu 24.04, from Docker Hub; where the host has no way there, Debian in its place.",
  },
};

/** Azure's public names, changed by what an operator's file says: a name added, given another source, or null. */
export function createCatalogue(changes: CatalogueFile = {}): Catalogue {
  const sources = new Map<string, CatalogueSource>();
  const entries: CatalogueEntry[] = [];
  for (const [name, value] of Object.entries({ ...defaults, ...changes })) {
    if (value === null) continue;
    const entry: z.output<typeof longSource> = typeof value === "string" ? { source: value } : value;
    const { source, description, packages = [], standIn } = entry;
    const found = readSource(name, source, packages);
    sources.set(name, standIn === undefined ? found.source : withStandIn(name, found.source, standIn));
    entries.push({ name, description: description ?? found.description, source: found.text });
  }
  entries.sort((a, b) => (a.name < b.name ? -1 : 1));
  return { entries, sourceOf: (name) => sources.get(name) };
}

/** Reads an operator's catalogue; throws `Invalid` with the file's name. */
export function readCatalogueFile(path: string): CatalogueFile {
  try {
    const file = catalogueFile.parse(JSON.parse(readFileSync(path, "utf8")));
    createCatalogue(file);
    return file;
  } catch (error) {
    const issue = error instanceof z.ZodError ? error.issues[0] : undefined;
    const why = issue ? [...issue.path, issue.message].join(": ") : error instanceof Error ? error.message : error;
    throw new SandboxesError("Invalid", `Cannot use the catalogue "${path}": ${why}`, {
      hint: 'write names and sources: {"ubuntu": "recipe:debian", "tools": "registry.example/tools:1"}',
    });
  }
}

function readSource(
  name: string,
  text: string,
  packages: string[],
): { source: CatalogueSource; description: string; text: string } {
  const recipeName = /^recipe:(.*)$/s.exec(text)?.[1];
  if (recipeName === undefined) {
    if (packages.length > 0) throw wrong(name, "packages can be added to recipes only");
    const reference = parsePlaceReference(text);
    return { source: { kind: "place", reference }, description: `${reference.canonical}.`, text: reference.canonical };
  }
  const recipe = recipeNamed(recipeName);
  if (!recipe) throw wrong(name, `there is no recipe "${recipeName}", but ${recipeNames.join(" and ")}`);
  const extended = recipeWith(recipe, packages);
  const more = packages.length > 0 ? ` With ${packages.join(", ")}.` : "";
  return {
    source: { kind: "recipe", recipe: extended },
    description: `${recipe.description}${more}`,
    text: [text, ...packages].join("+"),
  };
}

function withStandIn(name: string, source: CatalogueSource, text: string): CatalogueSource {
  const { source: standIn } = readSource(name, text, []);
  if (source.kind === "place" && standIn.kind === "recipe") return { ...source, standIn: standIn.recipe };
  throw wrong(name, "standIn is a recipe in the place of a registry's image");
}

function wrong(name: string, why: string): SandboxesError {
  return new SandboxesError("Invalid", `The catalogue's "${name}": ${why}`);
}
