import { setImmediate } from "node:timers/promises";
import { SandboxesError } from "../../client/errors";
import type { ImportBudget } from "./importBudget";
import type { IndexedEntry, LayerIndex } from "./layerIndex";
import { printable, type TarEntryType } from "./tar/tarEntry";

/** A file of the merged tree; hard links are one inode under several names. */
export interface Inode {
  type: Exclude<TarEntryType, "hardLink" | "charDevice" | "blockDevice">;
  mode: number;
  uid: number;
  gid: number;
  mtime: number;
  size: number;
  linkTarget: string;
  xattrs?: ReadonlyMap<string, string>;
  /** Where the content is: the layer, oldest first, and the entry in it. */
  layer: number;
  ordinal: number;
  /** Of directories. */
  children?: Map<string, Inode>;
}

const entriesAtOnce = 20_000;
// As Linux does before it gives up with ELOOP.
const maxLinksFollowed = 40;

/**
 * The tree that the layers, oldest first, make together, as a container engine would unpack them, but in memory.
 * Whiteouts speak of lower layers only and so come first, wherever they stand in their layer.
 */
export async function mergeLayers(layers: LayerIndex[], budget: ImportBudget, signal?: AbortSignal): Promise<Inode> {
  const tree = new MergedTree(budget, signal);
  for (const [number, layer] of layers.entries()) await tree.apply(layer, number);
  return tree.root;
}

class MergedTree {
  root: Inode = impliedDirectory();
  /** What the current layer's whiteouts took away: its hard links may still point there. */
  #removed = new Map<string, Inode>();
  readonly #budget: ImportBudget;
  readonly #signal: AbortSignal | undefined;
  #worked = 0;

  constructor(budget: ImportBudget, signal: AbortSignal | undefined) {
    this.#budget = budget;
    this.#signal = signal;
  }

  async apply(layer: LayerIndex, number: number): Promise<void> {
    this.#removed = new Map();
    await this.#applyWhiteouts(layer);
    const waiting: IndexedEntry[] = [];
    for (const entry of layer.entries) {
      await this.#breathe();
      if (entry.type !== "hardLink") this.#put(entry, inodeOf(entry, number));
      else if (!this.#link(entry, this.#find(entry.linkTarget, false))) waiting.push(entry);
    }
    await this.#linkLate(waiting);
  }

  /** A million entries take seconds: others are to be served meanwhile. */
  async #breathe(): Promise<void> {
    if (++this.#worked % entriesAtOnce !== 0) return;
    await setImmediate();
    this.#signal?.throwIfAborted();
  }

  /** Links that stand before their target, or whose target the same layer hides. */
  async #linkLate(waiting: IndexedEntry[]): Promise<void> {
    for (let left = waiting; left.length > 0; ) {
      const unresolved: IndexedEntry[] = [];
      for (const entry of left) {
        await this.#breathe();
        const target = this.#find(entry.linkTarget, false) ?? this.#findRemoved(entry.linkTarget);
        if (!this.#link(entry, target)) unresolved.push(entry);
      }
      if (unresolved.length === left.length) throw danglingLink(left[0] as IndexedEntry);
      left = unresolved;
    }
  }

  async #applyWhiteouts(layer: LayerIndex): Promise<void> {
    if (layer.whiteouts.length + layer.opaques.length === 0) return;
    const own = new Set(layer.entries.map((entry) => entry.path));
    for (const path of layer.opaques) {
      await this.#breathe();
      const directory = this.#lower(path, own);
      if (!directory?.children) continue;
      for (const [name, child] of directory.children) this.#removed.set(path === "" ? name : `${path}/${name}`, child);
      directory.children.clear();
    }
    for (const path of layer.whiteouts) {
      await this.#breathe();
      const { parent, name } = split(path);
      const children = this.#lower(parent, own)?.children;
      const child = children?.get(name);
      if (!children || !child) continue;
      this.#removed.set(path, child);
      children.delete(name);
    }
  }

  /**
   * The directory a whiteout speaks of. Links in its path are followed as engines do, except where the layer brings
   * an entry of its own at that place: then the whiteout speaks of what the layer replaces.
   */
  #lower(path: string, own: Set<string>): Inode | undefined {
    if (path === "") return this.root;
    let prefix = "";
    for (const component of path.split("/")) {
      prefix = prefix === "" ? component : `${prefix}/${component}`;
      if (own.has(prefix) && this.#find(prefix, false)?.type === "symlink") return undefined;
    }
    return this.#find(path, true);
  }

  #put(entry: IndexedEntry, inode: Inode): void {
    if (entry.path === "") {
      if (inode.type !== "directory") throw invalid(`the image's root is a ${inode.type}, not a directory`);
      this.root = { ...inode, children: this.root.children ?? new Map() };
      return;
    }
    const { parent, name } = split(entry.path);
    const children = this.#directory(parent);
    const former = children.get(name);
    if (inode.children && former?.children) inode.children = former.children;
    children.set(name, inode);
  }

  #link(entry: IndexedEntry, target: Inode | undefined): boolean {
    if (!target) return false;
    if (target.children) throw invalid(`the hard link ${printable(entry.path)} points at a directory`);
    if (entry.path === "") throw invalid("the image's root is a hard link");
    const { parent, name } = split(entry.path);
    this.#directory(parent).set(name, target);
    return true;
  }

  #findRemoved(path: string): Inode | undefined {
    for (let end = path.length; end > 0; end = path.lastIndexOf("/", end - 1)) {
      this.#budget.addStep();
      const top = this.#removed.get(path.slice(0, end));
      if (!top) continue;
      const rest = path
        .slice(end + 1)
        .split("/")
        .filter(Boolean);
      return rest.reduce<Inode | undefined>((inode, name) => inode?.children?.get(name), top);
    }
    return undefined;
  }

  /** What stands at `path`; undefined where nothing does. Links in between are followed inside the image. */
  #find(path: string, followLast: boolean): Inode | undefined {
    const walk = new Walk(path, this.#budget);
    let current: Inode[] = [this.root];
    for (let name = walk.next(); name !== undefined; name = walk.next()) {
      if (name === "..") {
        if (current.length > 1) current.pop();
        continue;
      }
      const child: Inode | undefined = current.at(-1)?.children?.get(name);
      if (!child) return undefined;
      if (child.type === "symlink" && (followLast || !walk.isDone)) {
        if (walk.follow(child.linkTarget)) current = [this.root];
      } else {
        current.push(child);
      }
    }
    return current.at(-1);
  }

  /** The children of the directory at `path`, made where missing; links to directories are followed. */
  #directory(path: string): Map<string, Inode> {
    const walk = new Walk(path, this.#budget);
    let current: Map<string, Inode>[] = [childrenOf(this.root)];
    for (let name = walk.next(); name !== undefined; name = walk.next()) {
      const children = current.at(-1) as Map<string, Inode>;
      if (name === "..") {
        if (current.length > 1) current.pop();
        continue;
      }
      const child = children.get(name);
      if (child?.type === "symlink") {
        if (walk.follow(child.linkTarget)) current = [childrenOf(this.root)];
        continue;
      }
      if (child?.children) {
        current.push(child.children);
        continue;
      }
      // Nothing, or a file of a lower layer that an entry below its name replaces.
      this.#budget.addNode();
      const made = impliedDirectory();
      children.set(name, made);
      current.push(childrenOf(made));
    }
    return current.at(-1) as Map<string, Inode>;
  }
}

/** The names still to walk, into which a symbolic link's target can be put. */
class Walk {
  readonly #path: string;
  readonly #names: string[];
  readonly #budget: ImportBudget;
  #followed = 0;

  constructor(path: string, budget: ImportBudget) {
    this.#path = path;
    this.#budget = budget;
    this.#names = path.split("/").filter(Boolean).reverse();
  }

  get isDone(): boolean {
    return this.#names.length === 0;
  }

  next(): string | undefined {
    this.#budget.addStep();
    return this.#names.pop();
  }

  /** Returns whether the walk starts at the root again. */
  follow(target: string): boolean {
    if (++this.#followed > maxLinksFollowed) {
      throw invalid(`the path ${printable(this.#path)} leads through too many symbolic links`);
    }
    this.#names.push(
      ...target
        .split("/")
        .filter((name) => name !== "" && name !== ".")
        .reverse(),
    );
    return target.startsWith("/");
  }
}

function inodeOf(entry: IndexedEntry, layer: number): Inode {
  const { type, mode, uid, gid, mtime, size, linkTarget, xattrs, ordinal } = entry;
  const inode = { type, mode, uid, gid, mtime, size, linkTarget, layer, ordinal } as Inode;
  if (xattrs) inode.xattrs = xattrs;
  if (type === "directory") inode.children = new Map();
  return inode;
}

function impliedDirectory(): Inode {
  const owner = { uid: 0, gid: 0, mtime: 0 };
  return {
    type: "directory",
    mode: 0o755,
    ...owner,
    size: 0,
    linkTarget: "",
    layer: -1,
    ordinal: -1,
    children: new Map(),
  };
}

function childrenOf(directory: Inode): Map<string, Inode> {
  directory.children ??= new Map();
  return directory.children;
}

function split(path: string): { parent: string; name: string } {
  const slash = path.lastIndexOf("/");
  return { parent: slash < 0 ? "" : path.slice(0, slash), name: path.slice(slash + 1) };
}

function danglingLink(entry: IndexedEntry): SandboxesError {
  return invalid(
    `the hard link ${printable(entry.path)} points at ${printable(entry.linkTarget)}, which its layers do not hold`,
  );
}

function invalid(message: string): SandboxesError {
  return new SandboxesError("ImageInvalid", message);
}
