// Says by exit code 0 that what npm has installed is what the lock file asks for: `sameLock.mts LOCK INSTALLED`.
import { readFileSync } from "node:fs";

interface Lock {
  packages: Record<string, { version?: string; integrity?: string; optional?: boolean; link?: boolean }>;
}

const [wanted, installed] = process.argv
  .slice(2)
  .map((path) => (JSON.parse(readFileSync(path, "utf8")) as Lock).packages);
if (!wanted || !installed) {
  throw new Error("usage: sameLock.mts LOCK INSTALLED");
}
// Optional packages of other systems are in the lock and never installed.
const differs = Object.entries(wanted).some(
  ([path, entry]) =>
    path.startsWith("node_modules/") &&
    !(entry.optional && !installed[path]) &&
    installed[path]?.version !== entry.version,
);
process.exit(differs ? 1 : 0);
