// Checks that each relative link in the Markdown pages names a file, and each `#heading` one of its headings.
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { dirname, join, relative } from "node:path";

const pages = ["README.md", "CHANGELOG.md", ...markdownBelow("docs"), ...markdownBelow("examples")].filter((page) =>
  existsSync(page),
);
let broken = 0;
for (const page of pages) {
  // Links in code blocks are text.
  const text = readFileSync(page, "utf8").replace(/^```[\s\S]*?^```/gm, "");
  for (const [, target = ""] of text.matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target)) {
      continue;
    }
    const [path = "", heading] = target.split("#");
    const file = path === "" ? page : join(dirname(page), path);
    if (!existsSync(file) || (heading && statSync(file).isFile() && !headings(file).has(heading))) {
      process.stdout.write(`${page}: the link to ${target} leads nowhere\n`);
      broken += 1;
    }
  }
}
process.exitCode = broken > 0 ? 1 : 0;

function headings(file: string): Set<string> {
  const found = [...readFileSync(file, "utf8").matchAll(/^#+ (.*)$/gm)].map(([, title = ""]) => title);
  return new Set(
    found.map((title) =>
      title
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, "")
        .replaceAll(" ", "-"),
    ),
  );
}

function markdownBelow(folder: string): string[] {
  return existsSync(folder)
    ? readdirSync(folder, { recursive: true, encoding: "utf8" })
        .filter((path) => path.endsWith(".md"))
        .map((path) => relative(".", join(folder, path)))
    : [];
}
