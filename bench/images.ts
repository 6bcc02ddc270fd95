import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { createReadStream } from "node:fs";
import { mkdir, mkdtemp, rm, stat, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import type * as Images from "../provider/host/images";
import type * as Cache from "../provider/host/vm/cacheDirectory";
import { built } from "./built.ts";
import { createReport, type Result } from "./report.ts";

export interface ImageBenchOptions {
  rounds?: number;
}

/**
 * What an import costs over `sqfstar` alone on the same tar: the catalogue's python, as a root file system and as OCI
 * layouts. The aim is at most three times; each round runs all of them, so a busy machine slows all alike.
 */
export async function benchImages({ rounds = 5 }: ImageBenchOptions = {}): Promise<Result[]> {
  const { createImageStore } = built<typeof Images>("host/images");
  const work = await mkdtemp(join(tmpdir(), "bench-images-"));
  try {
    const tar = await pythonTar(work);
    const megabytes = Math.round((await stat(tar)).size / 1e6);
    const gzip = await layout(work, "gzip", [tar], ["gzip", "-6"]);
    const plain = await layout(work, "plain", [tar], ["cat"]);
    const split = await layout(work, "split", await splitTar(work), ["gzip", "-6"]);
    const report = createReport({ title: `image import, ${megabytes} MB`, baseline: "sqfstar alone" });
    const imports = {
      "rootfs tar": `rootfs:${tar}`,
      "1 plain layer": plain,
      "1 gzip layer": gzip,
      "3 gzip layers": split,
    };
    for (let round = 0; round < rounds; round++) {
      await report.time("sqfstar alone", async () => sqfstarAlone(tar, join(work, "alone.sqfs")));
      for (const [name, reference] of Object.entries(imports)) {
        const dataDir = join(work, "data");
        const store = createImageStore({ dataDir });
        await report.time(name, () => store.import(reference));
        await report.time(`${name}, again`, () => store.import(reference));
        await rm(dataDir, { recursive: true });
      }
    }
    return report.finish();
  } finally {
    await rm(work, { recursive: true });
  }
}

async function pythonTar(work: string): Promise<string> {
  const { createImageStore } = built<typeof Images>("host/images");
  const { cacheDirectory } = built<typeof Cache>("host/vm/cacheDirectory");
  const store = createImageStore({ dataDir: join(work, "python"), cacheDir: cacheDirectory() });
  const { rootfsPath } = await store.import("python");
  execFileSync("unsquashfs", ["-quiet", "-no-progress", "-d", join(work, "root"), rootfsPath]);
  const tar = join(work, "python.tar");
  execFileSync("tar", ["-c", "--sort=name", "--format=pax", "-f", tar, "-C", join(work, "root"), "."]);
  return tar;
}

/** The same tree as three layers of a top-level directory each, and the rest. */
async function splitTar(work: string): Promise<string[]> {
  const root = join(work, "root");
  const parts = [["usr/lib"], ["usr", "--exclude=./usr/lib", "--exclude=usr/lib"], [".", "--exclude=./usr"]];
  return parts.map(([top = ".", ...options], index) => {
    const path = join(work, `part-${index}.tar`);
    execFileSync("tar", ["-c", "--sort=name", "--format=pax", "-f", path, ...options, "-C", root, top]);
    return path;
  });
}

/** Writes an OCI layout of those tars, packed by a command, and returns its reference. */
async function layout(work: string, name: string, tars: string[], pack: [string, ...string[]]): Promise<string> {
  const directory = join(work, name);
  const blobs = join(directory, "blobs", "sha256");
  await mkdir(blobs, { recursive: true });
  const layers = [];
  for (const tar of tars) {
    const packed = join(directory, "packed");
    execFileSync("sh", ["-c", 'out=$1; in=$2; shift 2; "$@" < "$in" > "$out"', "sh", packed, tar, ...pack]);
    const digest = await digestOf(packed);
    execFileSync("mv", [packed, join(blobs, digest.slice(7))]);
    layers.push({ mediaType: "application/vnd.oci.image.layer.v1.tar", digest, size: 0, diffId: await digestOf(tar) });
  }
  const put = async (value: unknown) => {
    const text = JSON.stringify(value);
    const digest = `sha256:${createHash("sha256").update(text).digest("hex")}`;
    await writeFile(join(blobs, digest.slice(7)), text);
    return { mediaType: "application/vnd.oci.image.manifest.v1+json", digest, size: text.length };
  };
  const config = {
    architecture: "amd64",
    os: "linux",
    rootfs: { type: "layers", diff_ids: layers.map((layer) => layer.diffId) },
  };
  const manifest = await put({ schemaVersion: 2, config: await put(config), layers });
  await writeFile(join(directory, "index.json"), JSON.stringify({ schemaVersion: 2, manifests: [manifest] }));
  return `oci:${directory}`;
}

async function digestOf(path: string): Promise<string> {
  const hash = createHash("sha256");
  for await (const chunk of createReadStream(path)) hash.update(chunk);
  return `sha256:${hash.digest("hex")}`;
}

function sqfstarAlone(tar: string, output: string): void {
  const args = ["-comp", "lz4", "-quiet", "-no-progress", "-force", output];
  execFileSync("sh", ["-c", 'in=$1; shift; exec sqfstar "$@" < "$in"', "sh", tar, ...args], { stdio: "ignore" });
}
