import type { TestRootfs } from "../vm/busyboxRootfs";
import { Shelf } from "./shelf";

/** Every image is the smallest one that has a shell. */
export class BusyboxShelf extends Shelf {
  readonly #rootfs: TestRootfs;

  constructor(rootfs: TestRootfs) {
    super();
    this.#rootfs = rootfs;
    this.config = { ...this.config, env: { PATH: "/bin" }, cmd: [] };
  }

  override async import(...parameters: Parameters<Shelf["import"]>) {
    const image = { ...(await super.import(...parameters)), ...this.#rootfs };
    this.images.set(image.digest, image);
    return image;
  }
}
