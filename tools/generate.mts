// Writes every generated file; with --check only compares, and exits with 1 when one is stale.
import { readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { errorsPage } from "./generate/errorsPage.mts";
import { withQuotedFiles } from "./generate/quotedFiles.mts";

const generated: Record<string, () => string> = {
  "README.md": () => withQuotedFiles("README.md"),
  "docs/azureSdks.md": () => withQuotedFiles("docs/azureSdks.md"),
  "docs/errors.md": errorsPage,
};

const checking = process.argv.includes("--check");
for (const [path, content] of Object.entries(generated)) {
  const wanted = content();
  if (current(path) === wanted) {
    continue;
  }
  if (checking) {
    process.stdout.write(`stale: ${path} (make generate writes it anew)\n`);
    process.exitCode = 1;
  } else {
    writeFileSync(join(process.cwd(), path), wanted);
    process.stdout.write(`wrote ${path}\n`);
  }
}

function current(path: string): string | undefined {
  try {
    return readFileSync(path, "utf8");
  } catch {
    // Not written yet.
    return undefined;
  }
}
