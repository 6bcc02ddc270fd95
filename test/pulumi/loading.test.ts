import { execFileSync } from "node:child_process";
import { resolve } from "node:path";
import { describe, expect, it } from "vitest";

/** What a fresh process has loaded after it has loaded one built module, by path. */
function loadedBy(module: string): string[] {
  const script = "require(process.argv[1]); console.log(JSON.stringify(Object.keys(require.cache)))";
  return JSON.parse(execFileSync(process.execPath, ["-e", script, resolve("dist", module)], { encoding: "utf8" }));
}

describe("a process in which nothing is to be done", () => {
  it.each(["sandboxGroup", "diskImage", "sandbox", "secret", "volume"])(
    "loads neither HTTP nor credentials to check and compare a %s",
    (name) => {
      const loaded = loadedBy(`dynamic/${name}.js`);
      expect(loaded.filter((path) => /node_modules\/(undici|ws|@azure)\/|client\/sandboxApi/.test(path))).toEqual([]);
      expect(loaded.some((path) => path.endsWith(`resources/${name}.js`))).toBe(true);
    },
  );

  it("loads no schemas to declare resources", () => {
    expect(loadedBy("index.js").filter((path) => /node_modules\/(zod|undici)\//.test(path))).toEqual([]);
  });
});
