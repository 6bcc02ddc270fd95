import { SandboxesError } from "../../client/errors";
import type { ImageLimits } from "./imageLimits";
import { ImportBudget } from "./importBudget";
import { type LayerFile, layerStream } from "./layerStream";
import type { Inode } from "./mergeLayers";
import { paddingAfter, printable, type TarEntry } from "./tar/tarEntry";
import { TarReader } from "./tar/tarReader";
import { encodeTarHeader, tarEnd } from "./tar/tarWriter";

// Small pieces are gathered, so that 10,000 headers do not become 10,000 writes; to copy larger ones costs more than it saves.
const gatherBytes = 256 * 1024;
const smallBytes = 16 * 1024;

interface FileInode {
  inode: Inode;
  path: string;
}

/**
 * One tar of the merged tree: directories and links first, then each layer's files as they come by in a second
 * reading, hard links last, as their targets have to stand before them.
 */
export async function* mergedTar(
  root: Inode,
  layers: LayerFile[],
  limits: ImageLimits,
  signal?: AbortSignal,
): AsyncGenerator<Buffer> {
  yield* gathered(mergedEntries(root, layers, new ImportBudget(limits), signal));
}

async function* mergedEntries(
  root: Inode,
  layers: LayerFile[],
  budget: ImportBudget,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  const contents = layers.map(() => new Map<number, FileInode>());
  const firstPaths = new Map<Inode, string>();
  const hardLinks: TarEntry[] = [];
  for (const { inode, path } of walk(root)) {
    const first = firstPaths.get(inode);
    if (first !== undefined) {
      hardLinks.push({ ...entryOf(inode, path), type: "hardLink", size: 0, linkTarget: first, xattrs: undefined });
      continue;
    }
    if (path.length > budget.limits.pathBytes) {
      throw new SandboxesError(
        "ImageInvalid",
        `a merged path has ${path.length} bytes: ${printable(path.slice(0, 80))}…`,
      );
    }
    budget.addNames(path.length);
    if (!inode.children) firstPaths.set(inode, path);
    if (inode.type === "file" && inode.size > 0) contents[inode.layer]?.set(inode.ordinal, { inode, path });
    else yield encodeTarHeader(entryOf(inode, path));
  }
  for (const [number, layer] of layers.entries()) {
    const wanted = contents[number];
    if (wanted && wanted.size > 0) yield* layerFiles(layer, wanted, budget, signal);
  }
  for (const link of hardLinks) yield encodeTarHeader(link);
  yield tarEnd;
}

/** The wanted files of one layer; throws if the layer is not the one that was indexed. */
async function* layerFiles(
  layer: LayerFile,
  wanted: Map<number, FileInode>,
  budget: ImportBudget,
  signal: AbortSignal | undefined,
): AsyncGenerator<Buffer> {
  // A layer that was not copied is verified again: it may have changed since the first reading.
  const reader = new TarReader(layerStream(layer, budget, { signal }), budget.limits);
  try {
    let found = 0;
    for (let ordinal = 0; ; ordinal++) {
      const entry = await reader.next();
      if (!entry) break;
      const file = wanted.get(ordinal);
      if (!file) continue;
      if (entry.type !== "file" || entry.size !== file.inode.size) throw changed(layer);
      found++;
      yield encodeTarHeader(entryOf(file.inode, file.path));
      yield* reader.body();
      yield Buffer.alloc(paddingAfter(entry.size));
    }
    if (found !== wanted.size) throw changed(layer);
  } finally {
    await reader.close();
  }
}

function* walk(root: Inode): Generator<FileInode> {
  // An explicit stack: a hostile image may nest deeper than the call stack.
  const stack: FileInode[] = [{ inode: root, path: "" }];
  for (let current = stack.pop(); current; current = stack.pop()) {
    const { inode: directory, path } = current;
    for (const [name, inode] of directory.children ?? []) {
      const child = { inode, path: path === "" ? name : `${path}/${name}` };
      yield child;
      if (inode.children) stack.push(child);
    }
  }
}

function entryOf(inode: Inode, path: string): TarEntry {
  const { type, mode, uid, gid, mtime, size, linkTarget, xattrs } = inode;
  return { path, type, mode, uid, gid, mtime, size, linkTarget, ...(xattrs && { xattrs }) };
}

async function* gathered(source: AsyncIterable<Buffer>): AsyncGenerator<Buffer> {
  let small: Buffer[] = [];
  let size = 0;
  for await (const part of source) {
    const isSmall = part.length < smallBytes;
    if (isSmall) {
      small.push(part);
      size += part.length;
    }
    if (size >= gatherBytes || (!isSmall && size > 0)) {
      yield Buffer.concat(small, size);
      small = [];
      size = 0;
    }
    if (!isSmall) yield part;
  }
  if (size > 0) yield Buffer.concat(small, size);
}

function changed(layer: LayerFile): SandboxesError {
  return new SandboxesError("ImageInvalid", `${layer.label}: its file changed while it was read`);
}
