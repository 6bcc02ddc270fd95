import { existsSync } from "node:fs";
import { SandboxesError } from "../../client/errors";
import { entryComponents } from "./entryPath";
import type { ImportBudget } from "./importBudget";
import { type LayerFile, type LayerStreamOptions, layerError, layerStream } from "./layerStream";
import { printable, type TarEntry } from "./tar/tarEntry";
import { TarReader } from "./tar/tarReader";

/** What a layer says, without the contents of its files. */
export interface LayerIndex {
  entries: IndexedEntry[];
  /** Paths that lower layers no longer show. */
  whiteouts: string[];
  /** Directories of which lower layers show nothing any more. */
  opaques: string[];
  droppedDevices: number;
  /** Where the contents can be read a second time: the layer itself, or its decompressed copy. */
  tar: LayerFile;
}

/** `path` and a hard link's target are normalised: no leading, trailing or double slash, the root is "". */
export interface IndexedEntry extends TarEntry {
  /** Position among the layer's entries, by which the second reading finds it again. */
  ordinal: number;
}

const whiteoutPrefix = ".wh.";
const opaqueMarker = ".wh..wh..opq";
const largestId = 0xfffffffe;

/** Reads a layer to its end, verifies it and lists its entries. With `whiteouts: false` names like `.wh.x` are plain. */
export async function indexLayer(
  layer: LayerFile,
  budget: ImportBudget,
  options: LayerStreamOptions & { whiteouts: boolean },
): Promise<LayerIndex> {
  const index: LayerIndex = { entries: [], whiteouts: [], opaques: [], droppedDevices: 0, tar: layer };
  const reader = new TarReader(layerStream(layer, budget, options), budget.limits);
  try {
    for (let ordinal = 0; ; ordinal++) {
      const entry = await reader.next();
      if (!entry) break;
      budget.addEntry(entry);
      addEntry(index, entry, ordinal, budget, options.whiteouts);
    }
  } catch (error) {
    throw layerError(layer, error);
  } finally {
    await reader.close();
  }
  const { copyPath } = options;
  if (copyPath !== undefined && existsSync(copyPath)) index.tar = { label: layer.label, path: copyPath };
  return index;
}

function addEntry(index: LayerIndex, entry: TarEntry, ordinal: number, budget: ImportBudget, whiteouts: boolean): void {
  const components = entryComponents(entry.path, budget.limits);
  const name = components.at(-1) ?? "";
  // Bookkeeping of aufs, which no engine unpacks.
  if (whiteouts && components.some((part) => part.startsWith(".wh..wh.")) && name !== opaqueMarker) return;
  if (whiteouts && name.startsWith(whiteoutPrefix)) {
    addWhiteout(index, components, name);
    return;
  }
  // The guest's /dev is its kernel's own; a node elsewhere would only hand out raw devices by the image's permissions.
  if (entry.type === "charDevice" || entry.type === "blockDevice") {
    index.droppedDevices++;
    return;
  }
  requireSane(entry);
  const xattrs = keptXattrs(entry.xattrs);
  index.entries.push({
    path: components.join("/"),
    type: entry.type,
    mode: entry.mode,
    uid: entry.uid,
    gid: entry.gid,
    // What squashfs can hold.
    mtime: Math.min(Math.max(entry.mtime, 0), 0xffffffff),
    size: entry.size,
    linkTarget: linkTargetOf(entry, budget),
    ...(xattrs && { xattrs }),
    ordinal,
  });
}

function addWhiteout(index: LayerIndex, components: string[], name: string): void {
  const parent = components.slice(0, -1);
  if (name === opaqueMarker) {
    index.opaques.push(parent.join("/"));
    return;
  }
  const hidden = name.slice(whiteoutPrefix.length);
  if (hidden === "" || hidden === "." || hidden === "..") {
    throw new SandboxesError("ImageInvalid", `the whiteout ${printable(components.join("/"))} names no file`);
  }
  index.whiteouts.push([...parent, hidden].join("/"));
}

function linkTargetOf(entry: TarEntry, budget: ImportBudget): string {
  if (entry.type === "hardLink") return entryComponents(entry.linkTarget, budget.limits).join("/");
  if (entry.type !== "symlink") return "";
  // Any target is fine: it means something in the guest only.
  if (entry.linkTarget === "" || entry.linkTarget.includes("\0") || entry.linkTarget.length > budget.limits.pathBytes) {
    throw new SandboxesError("ImageInvalid", `the symbolic link ${printable(entry.path)} has an impossible target`);
  }
  return entry.linkTarget;
}

function requireSane(entry: TarEntry): void {
  for (const id of [entry.uid, entry.gid]) {
    if (Number.isInteger(id) && id >= 0 && id <= largestId) continue;
    throw new SandboxesError("ImageInvalid", `the entry ${printable(entry.path)} belongs to the impossible id ${id}`);
  }
}

/**
 * The attributes squashfs can hold, without those that steer overlayfs: the guest mounts the image as an overlay's
 * lower layer, where they would hide or move files.
 */
function keptXattrs(xattrs: ReadonlyMap<string, string> | undefined): ReadonlyMap<string, string> | undefined {
  if (!xattrs) return undefined;
  const kept = [...xattrs].filter(
    ([name]) => /^(user|trusted|security)\../.test(name) && !/^(user|trusted)\.overlay\./.test(name),
  );
  return kept.length > 0 ? new Map(kept) : undefined;
}
