import { stat } from "node:fs/promises";
import type { GarbageItem, GarbageView } from "../../client/wire/garbage";
import type { HeldKeys } from "../images/heldKeys";
import type { ImageStore, StoredImage } from "../images/imageStore";
import type { DiskImageStore } from "../store/diskImageStore";
import type { SandboxStore } from "../store/sandboxStore";
import type { SnapshotStore } from "../store/snapshotStore";
import type { Template, VmDriver } from "../vm/driver";
import type { HostLog } from "./hostLog";
import { Serial } from "./serial";

export interface GarbageParts {
  images: ImageStore;
  /** Images that somebody has found and not yet noted in a record, by digest. */
  imagesInUse: HeldKeys;
  driver: Pick<VmDriver, "listTemplates" | "listStaleTemplates" | "removeTemplate">;
  /** Whose records name images. */
  stores: { diskImages: DiskImageStore; sandboxes: SandboxStore; snapshots: SnapshotStore };
  log: HostLog;
}

/**
 * Finds and removes what the host keeps and nothing uses: images that no disk image, sandbox or snapshot is of, their
 * templates, templates that an upgrade left behind, and downloads that were cut off. Creations go on meanwhile.
 */
export class GarbageService {
  readonly #parts: GarbageParts;
  readonly #serial = new Serial();

  constructor(parts: GarbageParts) {
    this.#parts = parts;
  }

  /** With `dryRun` tells what it would remove, and removes nothing. */
  collect({ dryRun }: { dryRun: boolean }): Promise<GarbageView> {
    return this.#serial.run("", async () => {
      const items = [
        ...(await this.#staleTemplates(dryRun)),
        ...(await this.#images(dryRun)),
        ...(await this.#strayTemplates(dryRun)),
        ...(await this.#pulls(dryRun)),
      ];
      const sizeBytes = items.reduce((sum, item) => sum + item.sizeBytes, 0);
      this.#parts.log.info({ dryRun, items: items.length, sizeBytes }, "collected garbage");
      return { dryRun, items, sizeBytes };
    });
  }

  /** Nobody is ever given one of those again. */
  async #staleTemplates(dryRun: boolean): Promise<GarbageItem[]> {
    const { driver } = this.#parts;
    const stale = await driver.listStaleTemplates();
    if (!dryRun) for (const { key } of stale) await driver.removeTemplate(key);
    const about = "made by another kernel, agent or QEMU, or damaged";
    return stale.map(({ key, sizeBytes }) => ({ kind: "template", id: key, about, sizeBytes }));
  }

  async #images(dryRun: boolean): Promise<GarbageItem[]> {
    const { images, imagesInUse } = this.#parts;
    const all = await images.list();
    const items: GarbageItem[] = [];
    for (const image of all) {
      if (this.#used().has(image.digest)) continue;
      const isAlone = all.every((other) => other === image || other.rootfsDigest !== image.rootfsDigest);
      const removed = await imagesInUse.unlessHeld(image.digest, async () => {
        // A creation may have noted it since.
        if (this.#used().has(image.digest)) return [];
        const templates = isAlone ? await this.#templatesOf(image, dryRun) : [];
        const item = {
          kind: "image",
          id: image.digest,
          about: image.reference,
          sizeBytes: await ownBytes(image),
        } as const;
        if (!dryRun) await images.remove(image.digest);
        return [item, ...templates];
      });
      items.push(...(removed ?? []));
    }
    return items;
  }

  async #templatesOf({ rootfsDigest, reference }: StoredImage, dryRun: boolean): Promise<GarbageItem[]> {
    const templates = await this.#parts.driver.listTemplates();
    return this.#removeTemplates(
      templates.filter(({ spec }) => spec.rootfsDigest === rootfsDigest),
      reference,
      dryRun,
    );
  }

  /** Those whose image somebody has removed already. */
  async #strayTemplates(dryRun: boolean): Promise<GarbageItem[]> {
    const { images, driver } = this.#parts;
    const templates = await driver.listTemplates();
    const known = new Set((await images.list()).map(({ rootfsDigest }) => rootfsDigest));
    const strays = templates.filter(({ spec }) => !known.has(spec.rootfsDigest));
    return this.#removeTemplates(strays, "of an image that is gone", dryRun);
  }

  async #removeTemplates(templates: Template[], about: string, dryRun: boolean): Promise<GarbageItem[]> {
    if (!dryRun) for (const { key } of templates) await this.#parts.driver.removeTemplate(key);
    return templates.map(({ key, sizeBytes }) => ({ kind: "template", id: key, about, sizeBytes }));
  }

  async #pulls(dryRun: boolean): Promise<GarbageItem[]> {
    const { images } = this.#parts;
    const items: GarbageItem[] = [];
    for (const { digest, sizeBytes } of await images.abandonedPulls()) {
      if (dryRun || (await images.removePull(digest))) items.push({ kind: "download", id: digest, sizeBytes });
    }
    return items;
  }

  /** Digests of images that records name. */
  #used(): Set<string | undefined> {
    const { diskImages, sandboxes, snapshots } = this.#parts.stores;
    return new Set([
      ...diskImages.all().map(({ digest }) => digest),
      ...[...sandboxes.all(), ...snapshots.all()].map(({ imageDigest }) => imageDigest),
    ]);
  }
}

/** What its removal frees: nothing where the cache of public images holds the same file. */
async function ownBytes({ rootfsPath, sizeBytes }: StoredImage): Promise<number> {
  const stats = await stat(rootfsPath).catch(() => undefined);
  if (!stats) return sizeBytes;
  return stats.nlink > 1 ? 0 : stats.blocks * 512;
}
