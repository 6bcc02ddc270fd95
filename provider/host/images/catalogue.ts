import type { CatalogueEntry, ImageConfig } from "./imageStore";

/** An image made on the host from Debian packages, where no registry is needed or reached. */
export interface Recipe {
  name: string;
  description: string;
  packages: string[];
  config: ImageConfig;
}

const config: ImageConfig = {
  env: { PATH: "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", LANG: "C.UTF-8" },
  entrypoint: [],
  cmd: ["bash"],
  workingDir: "/",
  user: "",
  labels: {},
  exposedPorts: [],
};

const recipes: Recipe[] = [
  {
    name: "debian",
    description: "Debian's minimal system with apt and bash, made from the host's Debian mirror.",
    packages: [],
    config,
  },
  {
    name: "python",
    description: "Python 3 with its standard library on a minimal Debian, made from the host's Debian mirror.",
    // The second makes `python` mean `python3`, as in the registries' images of that name.
    packages: ["python3", "python-is-python3"],
    config: { ...config, cmd: ["python3"] },
  },
];

/** Names that need no registry. */
export const catalogueEntries: CatalogueEntry[] = recipes.map(({ name, description }) => ({ name, description }));

/** The recipe of a catalogue name. */
export function recipeOf(name: string): Recipe {
  const recipe = recipes.find((one) => one.name === name);
  if (!recipe) throw new RangeError(`no recipe ${name}`);
  return recipe;
}
