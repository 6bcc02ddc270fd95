import { existsSync } from "node:fs";
import { appendFile, mkdir, rm, truncate, writeFile } from "node:fs/promises";
import { join } from "node:path";
import { runTool } from "../../../provider/host/vm/runTool";
import { busyboxRootfs } from "../vm/busyboxRootfs";
import type { SeededRandom } from "./seededRandom";

const mebibyte = 2 ** 20;

/** Archives of root directories, each with other content, so that none is known to the host before. */
export class Archives {
  readonly #folder: string;
  readonly #random: SeededRandom;

  constructor(folder: string, random: SeededRandom) {
    this.#folder = folder;
    this.#random = random;
  }

  /** A system with a shell. */
  async system(): Promise<string> {
    const root = join(this.#folder, "system");
    const path = `${root}.tar`;
    if (existsSync(path)) return path;
    await mkdir(this.#folder, { recursive: true });
    await runTool("unsquashfs", ["-quiet", "-no-progress", "-dest", root, (await busyboxRootfs()).rootfsPath]);
    await runTool("tar", ["-cf", path, "-C", root, "."]);
    await rm(root, { recursive: true });
    return path;
  }

  /** One file of some MiB, which takes a moment to import; a broken one ends in the middle of it. */
  async other(name: string, isBroken: boolean): Promise<string> {
    const folder = join(this.#folder, name);
    const path = `${folder}${isBroken ? "-broken" : ""}.tar`;
    await mkdir(folder);
    const size = this.#random.between(4, 24) * mebibyte;
    const block = Buffer.alloc(mebibyte);
    for (let at = 0; at < block.length; at += 4) block.writeUInt32LE(Math.floor(this.#random.next() * 2 ** 32), at);
    const file = join(folder, "content");
    await writeFile(file, name);
    for (let written = 0; written < size; written += block.length) {
      block.writeUInt32LE(written, 0);
      await appendFile(file, block);
    }
    await runTool("tar", ["-cf", path, "-C", folder, "content"]);
    await rm(folder, { recursive: true });
    if (isBroken) await truncate(path, size / 2);
    return path;
  }
}
