import { createRequire } from "node:module";
import { join } from "node:path";

/** A module of the built package, `host/vm/qemu`; benchmarks measure what is shipped. Run `make build` first. */
export function built<T>(path: string): T {
  const require = createRequire(join(process.cwd(), "package.json"));
  return require(`./dist/${path}`) as T;
}
