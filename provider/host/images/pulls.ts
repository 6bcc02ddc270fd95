import { randomUUID } from "node:crypto";
import { readdir, rename, rm, stat } from "node:fs/promises";
import { join } from "node:path";
import { isSandboxesError } from "../../client/errors";
import { HeldKeys } from "./heldKeys";
import type { AbandonedPull } from "./imageStore";
import { PassingFailure } from "./registry/registryError";

/** After which nobody goes on with a download that was cut off. */
const keepMs = 24 * 3600_000;

/** Where downloads are: a directory for each image's digest, which outlives a try that another may take up. */
export class PullDirectories {
  readonly #root: string;
  readonly #running = new HeldKeys();

  constructor(root: string) {
    this.#root = root;
  }

  /** What was downloaded stays only for a registry, or a host, that may be back to go on with it. */
  async run<T>(digest: string, signal: AbortSignal, work: (pullDir: string) => Promise<T>): Promise<T> {
    const release = await this.#running.hold(digest);
    const pullDir = this.#pathOf(digest);
    let mayGoOn = false;
    try {
      return await work(pullDir);
    } catch (error) {
      mayGoOn = error instanceof PassingFailure || isSandboxesError(signal.reason, "HostUnavailable");
      throw error;
    } finally {
      if (!mayGoOn) await rm(pullDir, { recursive: true, force: true });
      release();
    }
  }

  /** Those that no import is at now. */
  async abandoned(): Promise<AbandonedPull[]> {
    const names = (await readdir(this.#root).catch(() => [])).filter((name) => /^[0-9a-f]{64}$/.test(name));
    const idle = names.map((name) => `sha256:${name}`).filter((digest) => !this.#running.isHeld(digest));
    return Promise.all(idle.map(async (digest) => ({ digest, sizeBytes: await bytesIn(this.#pathOf(digest)) })));
  }

  /** False where an import has taken it up. */
  async remove(digest: string): Promise<boolean> {
    const doomed = join(this.#root, `.removed-${randomUUID()}`);
    const isMoved = await this.#running.unlessHeld(digest, () =>
      rename(this.#pathOf(digest), doomed).then(
        () => true,
        () => false, // It is gone already.
      ),
    );
    await rm(doomed, { recursive: true, force: true });
    return isMoved ?? false;
  }

  /** Removes what is too old to be taken up, and removals that were cut off. */
  async removeOld(): Promise<void> {
    for (const name of await readdir(this.#root).catch(() => [])) {
      const path = join(this.#root, name);
      const isOld = (await stat(path)).mtimeMs < Date.now() - keepMs;
      if (isOld || name.startsWith(".")) await rm(path, { recursive: true, force: true });
    }
  }

  #pathOf(digest: string): string {
    return join(this.#root, digest.slice("sha256:".length));
  }
}

async function bytesIn(directory: string): Promise<number> {
  const names = await readdir(directory).catch(() => []);
  const sizes = names.map((name) =>
    stat(join(directory, name)).then(
      ({ blocks }) => blocks * 512,
      () => 0, // It is gone already.
    ),
  );
  return (await Promise.all(sizes)).reduce((sum, size) => sum + size, 0);
}
