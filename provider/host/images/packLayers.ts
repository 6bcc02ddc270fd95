import { availableParallelism } from "node:os";
import { join } from "node:path";
import { SandboxesError } from "../../client/errors";
import { ImportBudget } from "./importBudget";
import type { LayeredImage } from "./layeredImage";
import { indexLayer, type LayerIndex } from "./layerIndex";
import { mergedTar } from "./mergedTar";
import { mergeLayers } from "./mergeLayers";
import type { SourceAccess } from "./sourceAccess";
import { packSquashfs } from "./squashfs";

/**
 * Packs an image's layers as one squashfs at `path`. They are read twice: first verified and listed, which tells what
 * the tree will be, then for the contents that are left. No entry is unpacked; only names are held in memory.
 */
export async function packLayers(path: string, image: LayeredImage, access: SourceAccess): Promise<void> {
  const { limits, signal, progress } = access;
  const count = image.layers.length;
  progress(`reading ${count === 1 ? "1 layer" : `${count} layers`}`);
  const budget = new ImportBudget(limits);
  const indexes = await indexLayers(image, budget, access);
  const dropped = indexes.reduce((sum, { droppedDevices }) => sum + droppedDevices, 0);
  if (dropped > 0) progress(`left out ${dropped} device nodes`);
  const root = await mergeLayers(indexes, budget, signal);
  requireRootfs(image, root.children ?? new Map());
  progress("writing the file system");
  await packSquashfs(
    path,
    mergedTar(
      root,
      indexes.map(({ tar }) => tar),
      limits,
      signal,
    ),
    root,
    signal,
  );
}

async function indexLayers(image: LayeredImage, budget: ImportBudget, access: SourceAccess): Promise<LayerIndex[]> {
  const failed = new AbortController();
  const signal = AbortSignal.any([access.signal, failed.signal]);
  const indexes: LayerIndex[] = [];
  const waiting = image.layers.entries();
  const worker = async () => {
    for (const [number, layer] of waiting) {
      indexes[number] = await indexLayer(layer, budget, {
        whiteouts: image.whiteouts,
        signal,
        copyPath: join(access.tempDir, `layer-${number}.tar`),
      });
    }
  };
  const workers = Array.from({ length: Math.min(image.layers.length, availableParallelism()) }, worker);
  try {
    await Promise.all(workers);
  } catch (error) {
    failed.abort();
    await Promise.allSettled(workers);
    throw error;
  }
  return indexes;
}

function requireRootfs(image: LayeredImage, top: Map<string, unknown>): void {
  if (top.size === 0) throw new SandboxesError("ImageInvalid", "the image holds no files");
  if (image.whiteouts || !top.has("manifest.json") || top.has("bin") || top.has("usr")) return;
  throw new SandboxesError("ImageInvalid", "the tar is an image archive, not a root file system", {
    hint: "write docker-archive:/file.tar",
  });
}
