import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, readFile, realpath, rename, stat, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { pipeline } from "node:stream/promises";
import * as z from "zod";
import { cacheDirectory } from "./cacheDirectory";

const remembered = z.record(z.string(), z.string());

/** `sha256:…` of a file that is too large to hash at each start; remembered by path, size and time of change. */
export async function fileDigest(path: string): Promise<string> {
  const real = await realpath(path);
  const { size, mtimeMs, ino } = await stat(real);
  const key = `${real} ${ino} ${size} ${mtimeMs}`;
  const store = join(cacheDirectory(), "digests.json");
  const known = await readFile(store, "utf8")
    .then((text) => remembered.parse(JSON.parse(text)))
    // Absent or damaged: nothing is lost but time.
    .catch(() => ({}) as Record<string, string>);
  const hit = known[key];
  if (hit) return hit;
  const hash = createHash("sha256");
  await pipeline(createReadStream(real), hash);
  const digest = `sha256:${hash.digest("hex")}`;
  await mkdir(cacheDirectory(), { recursive: true });
  await writeFile(`${store}.${process.pid}`, JSON.stringify({ ...known, [key]: digest }));
  await rename(`${store}.${process.pid}`, store);
  return digest;
}
