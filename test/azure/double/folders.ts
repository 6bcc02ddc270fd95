import { cpSync, mkdirSync, mkdtempSync, rmSync, symlinkSync } from "node:fs";
import { dirname, join } from "node:path";
import type { FolderVm } from "../../host/fakes/machines";

/** Folders that stand for disks: of volumes, snapshots and committed images. Removed with the folder they are in. */
export class Folders {
  readonly #root: string;

  constructor(root: string) {
    this.#root = root;
  }

  make(): string {
    return mkdtempSync(join(this.#root, "disk-"));
  }

  /** What a machine has at this moment; of a volume only that it is there. */
  copyOf({ folder }: FolderVm): string {
    const copy = this.make();
    cpSync(folder, copy, { recursive: true, verbatimSymlinks: true });
    return copy;
  }

  /** Puts a copy into a machine that is new. */
  restore(folder: string | undefined, vm: FolderVm): void {
    if (folder) cpSync(folder, vm.folder, { recursive: true, verbatimSymlinks: true });
  }

  /** A volume seen from a machine. It is not guarded against writing. */
  mount(folder: string, vm: FolderVm, mountpoint: string): void {
    const at = join(vm.folder, mountpoint);
    mkdirSync(dirname(at), { recursive: true });
    rmSync(at, { recursive: true, force: true });
    symlinkSync(folder, at);
  }

  remove(folder: string | undefined): void {
    if (folder) rmSync(folder, { recursive: true, force: true });
  }
}
