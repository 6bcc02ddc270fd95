import { existsSync } from "node:fs";
import { dirname, join } from "node:path";
import { SandboxesError } from "../../client/errors";

/** Path of one of our own executables: in `SANDBOXES_NATIVE_DIR`, else in the package's `dist/native`. */
export function nativeBinary(name: "agent" | "spawner"): string {
  const path = join(nativeDirectory(), name);
  if (!existsSync(path)) {
    throw new SandboxesError("HostUnavailable", `cannot find the executable "${name}": no file "${path}"`, {
      hint: "run `make build`, or set SANDBOXES_NATIVE_DIR",
    });
  }
  return path;
}

export function nativeDirectory(): string {
  return process.env.SANDBOXES_NATIVE_DIR || join(packageRoot(), "dist", "native");
}

/** The nearest folder above this file with a package.json; the same from sources and from `dist`. */
export function packageRoot(): string {
  for (let folder = __dirname; ; folder = dirname(folder)) {
    if (existsSync(join(folder, "package.json"))) return folder;
    if (folder === dirname(folder)) throw new SandboxesError("Internal", `no package.json above "${__dirname}"`);
  }
}
