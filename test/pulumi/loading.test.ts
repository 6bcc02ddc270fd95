import { execFileSync } from "node:child_process";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";

/** What a fresh process has loaded, by path, after it has loaded one built module and done something with it. */
function loadedBy(module: string, work = ""): string[] {
  const script = `
    const loaded = require(process.argv[1]);
    async function main() { ${work} }
    main().then(() => console.log(JSON.stringify(Object.keys(require.cache))));`;
  const text = execFileSync(process.execPath, ["-e", script, resolve("dist", module)], { encoding: "utf8" });
  return JSON.parse(text);
}

const group =
  "/subscriptions/00000000-0000-0000-0000-000000000000/resourceGroups/local/providers/Microsoft.App/sandboxGroups/g";
const sandbox = `${group.replace("/providers/Microsoft.App", "")}/sandboxes/11111111-1111-4111-8111-111111111111`;
/** Inputs of each, and what is filled in where they leave something out. */
const inputs: Record<string, [given: object, filledIn?: object]> = {
  sandboxGroup: [{ tags: { a: "b" } }, { requireHardwareIsolation: false, target: "microvm" }],
  diskImage: [{ group, image: "python:3.12", credentials: { username: "me", password: "pw" } }],
  sandbox: [
    { group, image: "python", env: { A: "b" } },
    { cpu: "1000m", memory: "512Mi", disk: "10240Mi" },
  ],
  snapshot: [{ group, sandbox }],
  volume: [{ group, type: "DataDisk", size: "1Gi" }, { size: "1024Mi" }],
  secret: [{ group, values: { A: "b" } }],
  egressPolicy: [{ group, rules: [] }, { defaultAction: "Deny" }],
};

describe("a process in which nothing is to be done", () => {
  it.each(Object.entries(inputs))("loads neither schemas nor requests for a %s", (name, [given, filledIn]) => {
    const target = name === "sandboxGroup" ? {} : { __target: "microvm" };
    const state = { ...given, ...target, ...filledIn };
    const news = name === "volume" ? state : given;
    const work = `
      loaded.configure({ config: { get: () => undefined } });
      const { inputs } = await loaded.check(${JSON.stringify(state)}, ${JSON.stringify(news)});
      const { changes } = await loaded.diff("id", ${JSON.stringify({ ...state, more: "output" })}, inputs);
      if (changes) throw new Error("changed");`;
    expect(loadedBy(`dynamic/${name}.js`, work).filter((path) => /node_modules/.test(path))).toEqual([]);
  });

  it("loads no schemas to declare resources", () => {
    expect(loadedBy("index.js").filter((path) => /node_modules\/(zod|undici)\//.test(path))).toEqual([]);
  });
});

describe("a process in which something has changed", () => {
  it.each(Object.entries(inputs))("loads neither HTTP nor credentials to check and compare a %s", (name, [given]) => {
    const work = `
      loaded.configure({ config: { get: () => undefined } });
      const { inputs } = await loaded.check({}, ${JSON.stringify(given)});
      const { changes } = await loaded.diff("id", { __target: "microvm" }, inputs);
      if (!changes) throw new Error("unchanged");`;
    const loaded = loadedBy(`dynamic/${name}.js`, work);
    expect(loaded.filter((path) => /node_modules\/(undici|ws|@azure)\/|client\/sandboxApi/.test(path))).toEqual([]);
    expect(loaded.some((path) => path.endsWith(`resources/${name}.js`))).toBe(true);
  });
});
