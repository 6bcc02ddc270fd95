import { existsSync } from "node:fs";

/** Ends a test run at once, with words, where the programs are missing that its tests start. */
export default function requireBuild(): void {
  const missing = ["dist/cli/main.js", "dist/native/agent", "dist/native/spawner"].filter((path) => !existsSync(path));
  if (missing.length > 0) {
    throw new Error(`${missing.join(", ")} not built: these tests start them. Run \`make build\` first.`);
  }
}
