import { readFileSync } from "node:fs";
import { join } from "node:path";

const root = join(import.meta.dirname, "../..");

/** A page with each code block that follows `<!-- file: PATH -->` filled with that file, so that examples are what runs. */
export function withQuotedFiles(page: string): string {
  const text = readFileSync(join(root, page), "utf8");
  return text.replace(/(<!-- file: (\S+) -->\n```\w*\n)[\s\S]*?```/g, (_all, opening: string, path: string) => {
    return `${opening}${readFileSync(join(root, path), "utf8").trimEnd()}\n\`\`\``;
  });
}
