import { lstatSync, readdirSync } from "node:fs";
import { join } from "node:path";

/** Each path below the roots with what would change if anybody wrote there: inode, type, owner, size, time. */
export function scanInodes(roots: string[], isLeftOut: (path: string) => boolean = () => false): Map<string, string> {
  const found = new Map<string, string>();
  const waiting = [...roots];
  for (let path = waiting.pop(); path !== undefined; path = waiting.pop()) {
    if (isLeftOut(path)) continue;
    const stats = lstatSync(path, { throwIfNoEntry: false });
    if (!stats) continue; // It went while we looked.
    const { ino, mode, uid, gid, size, mtimeMs, nlink } = stats;
    found.set(path, [ino, mode.toString(8), uid, gid, size, mtimeMs, nlink].join(" "));
    if (stats.isDirectory()) waiting.push(...readdirSync(path).map((name) => join(path as string, name)));
  }
  return found;
}
