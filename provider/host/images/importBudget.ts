import { SandboxesError } from "../../client/errors";
import type { ImageLimits } from "./imageLimits";

/** Counts what one import has used of its limits, over all layers. */
export class ImportBudget {
  readonly limits: ImageLimits;
  #streamBytes = 0;
  #fileBytes = 0;
  #entries = 0;

  constructor(limits: ImageLimits) {
    this.limits = limits;
  }

  addStreamBytes(count: number): void {
    this.#streamBytes += count;
    if (this.#streamBytes > this.limits.totalBytes)
      this.#refuse("unpacks to more than", this.limits.totalBytes, "bytes");
  }

  addEntry(fileBytes: number): void {
    this.#fileBytes += fileBytes;
    this.#entries++;
    if (this.#fileBytes > this.limits.totalBytes)
      this.#refuse("holds files of more than", this.limits.totalBytes, "bytes");
    if (this.#entries > this.limits.entries) this.#refuse("holds more than", this.limits.entries, "entries");
  }

  #refuse(what: string, limit: number, unit: string): never {
    throw new SandboxesError("ImageInvalid", `the image ${what} the allowed ${limit} ${unit}`);
  }
}
