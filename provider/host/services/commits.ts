import { randomUUID } from "node:crypto";
import { createWriteStream } from "node:fs";
import { mkdir, readdir, rm } from "node:fs/promises";
import { basename, join } from "node:path";
import { pipeline } from "node:stream/promises";
import { SandboxesError } from "../../client/errors";
import type { Labels } from "../../client/wire/labels";
import { emptyImageConfig } from "../images/imageConfig";
import type { DiskImageRecord } from "../store/diskImageStore";
import type { SandboxRecord } from "../store/sandboxStore";
import type { Vm } from "../vm/driver";
import type { DiskImageService } from "./diskImages";
import type { SandboxService } from "./sandboxes";

const extension = ".tar";
/** Azure's Python SDK gives up on a silent answer after 300 s. */
const readWithinMs = 280_000;

/** Disk images made of a sandbox's files. */
export class CommitService {
  readonly #sandboxes: SandboxService;
  readonly #diskImages: DiskImageService;
  readonly #directory: string;

  /** `directory` is for files on their way. */
  constructor(parts: { sandboxes: SandboxService; diskImages: DiskImageService; directory: string }) {
    this.#sandboxes = parts.sandboxes;
    this.#diskImages = parts.diskImages;
    this.#directory = parts.directory;
  }

  /**
   * Reads the files of a running sandbox, whose programs stand still meanwhile, and answers when it has them; then
   * the image is built. It starts as the sandbox's own image does. Throws `NotRunning` for a stopped sandbox.
   */
  async create(groupKey: string, sandboxId: string, labels: Labels = {}): Promise<DiskImageRecord> {
    const id = randomUUID();
    const path = this.#fileOf(id);
    await mkdir(this.#directory, { recursive: true, mode: 0o700 });
    try {
      const sandbox = await this.#sandboxes.whileRunning(groupKey, sandboxId, async (record, vm) => {
        await readFiles(record, vm, path);
        return record;
      });
      const config = sandbox.imageConfig ?? emptyImageConfig;
      const commit = { sandboxId: sandbox.id, config };
      const base = await this.#diskImages.baseOf(sandbox);
      return await this.#diskImages.createFromFile(groupKey, { id, path, base, labels, commit });
    } catch (error) {
      await rm(path, { force: true });
      throw error;
    }
  }

  /** After a restart: goes on with images whose files had all been read, and drops what else is on its way. */
  async recover(): Promise<void> {
    this.#diskImages.restartCommits((id) => this.#fileOf(id));
    const names = await readdir(this.#directory).catch(() => []);
    const leftovers = names.filter((name) => !this.#diskImages.isBuilding(basename(name, extension)));
    for (const name of leftovers) await rm(join(this.#directory, name), { force: true });
  }

  #fileOf(diskImageId: string): string {
    return join(this.#directory, `${diskImageId}${extension}`);
  }
}

async function readFiles({ id }: SandboxRecord, { agent }: Vm, path: string): Promise<void> {
  const limit = AbortSignal.timeout(readWithinMs);
  try {
    await pipeline(await agent.archive("/"), createWriteStream(path, { flags: "wx", mode: 0o600 }), { signal: limit });
  } catch (error) {
    if (limit.aborted) {
      throw new SandboxesError("Timeout", `The files of sandbox '${id}' could not be read within ${readWithinMs} ms`);
    }
    const { code } = error as NodeJS.ErrnoException;
    if (code === "ENOSPC" || code === "EDQUOT") throw new SandboxesError("CapacityExceeded", "the host's disk is full");
    throw error;
  }
}
