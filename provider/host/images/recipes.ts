import type { ImageConfig } from "./imageStore";

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

/** Names of the recipes that come with the host. */
export const recipeNames: readonly string[] = recipes.map(({ name }) => name);

/** A recipe by its name, undefined where there is none. */
export function recipeNamed(name: string): Recipe | undefined {
  return recipes.find((recipe) => recipe.name === name);
}

/** The recipe with more of Debian's packages in it. */
export function recipeWith(recipe: Recipe, packages: string[]): Recipe {
  if (packages.length === 0) return recipe;
  const all = [...new Set([...recipe.packages, ...packages])];
  return { ...recipe, name: `${recipe.name} with ${packages.join(", ")}`, packages: all };
}
