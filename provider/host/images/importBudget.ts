import { SandboxesError } from "../../client/errors";
import type { ImageLimits } from "./imageLimits";
import type { TarEntry } from "./tar/tarEntry";

/** A real tree takes about 20 for each entry: one for each part of its path, some more through links. */
const stepsPerEntry = 64;

/** Counts what one import has used of its limits, over all layers. */
export class ImportBudget {
  readonly limits: ImageLimits;
  #streamBytes = 0;
  #fileBytes = 0;
  #entries = 0;
  #nameBytes = 0;
  #steps = 0;

  constructor(limits: ImageLimits) {
    this.limits = limits;
  }

  addStreamBytes(count: number): void {
    this.#streamBytes += count;
    if (this.#streamBytes > this.limits.totalBytes)
      this.#refuse("unpacks to more than", this.limits.totalBytes, "bytes");
  }

  addEntry({ size, path, linkTarget, xattrs }: TarEntry): void {
    this.#fileBytes += size;
    if (this.#fileBytes > this.limits.totalBytes)
      this.#refuse("holds files of more than", this.limits.totalBytes, "bytes");
    this.addNode();
    let names = path.length + linkTarget.length;
    for (const [name, value] of xattrs ?? []) names += name.length + value.length;
    this.addNames(names);
  }

  /** Something of the tree: an entry, or a directory that only paths speak of. */
  addNode(): void {
    this.#entries++;
    if (this.#entries > this.limits.entries) this.#refuse("holds more than", this.limits.entries, "entries");
  }

  /** Bytes of names, targets of links and attributes, which stay in memory. */
  addNames(bytes: number): void {
    this.#nameBytes += bytes;
    if (this.#nameBytes > this.limits.allNamesBytes)
      this.#refuse("has names, links and attributes of more than", this.limits.allNamesBytes, "bytes");
  }

  /** One part of a path that was walked; links can make ways without end. */
  addStep(): void {
    if (++this.#steps > this.limits.entries * stepsPerEntry)
      this.#refuse("has paths of more than", this.limits.entries * stepsPerEntry, "steps");
  }

  #refuse(what: string, limit: number, unit: string): never {
    throw new SandboxesError("ImageInvalid", `the image ${what} the allowed ${limit} ${unit}`, {
      hint: "make the image smaller: leave out what its programs do not need, or mount it as a volume",
    });
  }
}
