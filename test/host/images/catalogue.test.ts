import { mkdtemp, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { isSandboxesError } from "../../../provider/client/errors";
import { createCatalogue, createImageStore, readCatalogueFile } from "../../../provider/host/images";
import { file, tarOf } from "./testTar";

let work: string;
beforeEach(async () => {
  work = await mkdtemp(join(tmpdir(), "catalogue-"));
});
afterEach(() => rm(work, { recursive: true }));

const sourceOf = (entries: { name: string; source?: string }[], name: string) =>
  entries.find((entry) => entry.name === name)?.source;

describe("the catalogue", () => {
  it("has Azure's public names, each pinned to a tag or made by a recipe", () => {
    const { entries } = createCatalogue();
    const names = ["ubuntu", "debian", "alpine", "python", "python-3.12", "python-3.14", "node", "node-22"];
    expect(entries.map(({ name }) => name)).toEqual(
      expect.arrayContaining([...names, "dotnet-8", "dotnet-9", "php-8.3", "php-8.4", "playwright"]),
    );
    for (const { source, description } of entries) {
      expect(source).toMatch(/^recipe:|:[^/]*\d[^/]*$/);
      expect(description).toMatch(/\.$/);
    }
    expect(sourceOf(entries, "debian")).toBe("recipe:debian");
    expect(sourceOf(entries, "ubuntu")).toBe("docker.io/library/ubuntu:24.04");
    expect(createCatalogue().sourceOf("ubuntu")).toMatchObject({ standIn: { name: "debian" } });
  });

  it("is changed by an operator: other sources, new names, names taken away", async () => {
    const path = join(work, "catalogue.json");
    await writeFile(
      path,
      JSON.stringify({
        ubuntu: "recipe:debian",
        alpine: null,
        tools: { source: "recipe:debian", packages: ["git"], description: "Our tools." },
        team: "registry.example/team:1",
      }),
    );
    const { entries, sourceOf: find } = createCatalogue(readCatalogueFile(path));
    expect(sourceOf(entries, "ubuntu")).toBe("recipe:debian");
    expect(find("ubuntu")).toEqual(find("debian"));
    expect(find("alpine")).toBeUndefined();
    expect(find("tools")).toMatchObject({ kind: "recipe", recipe: { packages: ["git"] } });
    expect(entries.find(({ name }) => name === "tools")?.description).toBe("Our tools.");
    expect(sourceOf(entries, "team")).toBe("registry.example/team:1");
  });

  it.each([
    ["no JSON", "{"],
    ["a list", "[]"],
    ["a name with capitals", '{"Ubuntu": "recipe:debian"}'],
    ["an unknown recipe", '{"ubuntu": "recipe:fedora"}'],
    ["a reference that is none", '{"ubuntu": "not a reference"}'],
    ["packages for an image of a registry", '{"ubuntu": {"source": "ubuntu:24.04", "packages": ["git"]}}'],
    ["a package that is an option", '{"ubuntu": {"source": "recipe:debian", "packages": ["--x"]}}'],
    ["a registry's image as a stand-in", '{"ubuntu": {"source": "ubuntu:24.04", "standIn": "debian:12"}}'],
    ["a stand-in for a recipe", '{"ubuntu": {"source": "recipe:debian", "standIn": "recipe:debian"}}'],
    ["an unknown property", '{"ubuntu": {"source": "recipe:debian", "tag": "x"}}'],
  ])("refuses %s, and names the file", async (_what, content) => {
    const path = join(work, "catalogue.json");
    await writeFile(path, content);
    const error = await Promise.resolve()
      .then(() => readCatalogueFile(path))
      .catch((caught: unknown) => caught);
    expect(isSandboxesError(error, "Invalid")).toBe(true);
    expect(String(error)).toContain(path);
  });

  it("is what an import of a name goes by", async () => {
    await writeFile(join(work, "root.tar"), tarOf([file("etc/issue", "ours")]));
    const catalogue = createCatalogue({ ubuntu: `rootfs:${work}/root.tar` });
    const store = createImageStore({ dataDir: join(work, "data"), catalogue });
    const image = await store.import("ubuntu");
    expect(image.reference).toBe("ubuntu");
    expect(await store.resolve("ubuntu")).toBe(image.digest);
    expect(store.catalogue()).toBe(catalogue.entries);
  });

  it("says how to mend a name whose registry cannot be reached", async () => {
    const catalogue = createCatalogue({ ubuntu: "localhost:1/ubuntu:24.04" });
    const store = createImageStore({ dataDir: join(work, "data"), catalogue });
    const error = await store.import("ubuntu").catch((caught: unknown) => caught);
    expect(isSandboxesError(error, "RegistryFailed")).toBe(true);
    expect(String(error)).toContain('"ubuntu"');
    expect(String(error)).toContain('{"ubuntu": "recipe:debian"}');
  });
});
