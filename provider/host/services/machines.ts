import type { SavedVm, Vm, VmDriver } from "../vm/driver";
import type { Admission } from "./admission";

type OnExit = (reason: string) => void;

/** The virtual machines of this process's sandboxes, by sandbox id. */
export class Machines {
  readonly #driver: VmDriver;
  readonly #admission: Admission;
  readonly #vms = new Map<string, { vm: Vm; onExit: OnExit }>();

  constructor(parts: { driver: VmDriver; admission: Admission }) {
    this.#driver = parts.driver;
    this.#admission = parts.admission;
  }

  get(id: string): Vm | undefined {
    return this.#vms.get(id)?.vm;
  }

  /** Keeps a machine; `onExit` is called once with the reason when it ends otherwise than by us. */
  keep(id: string, vm: Vm, onExit: OnExit): void {
    const kept = { vm, onExit };
    this.#vms.set(id, kept);
    void vm.exited.then(({ reason }) => {
      if (this.#vms.get(id) === kept) onExit(reason);
    });
  }

  /** Puts a machine on disk and gives its memory back; after a failure it is as it was. */
  async suspend(id: string): Promise<SavedVm> {
    const kept = this.#vms.get(id);
    // From here on its end is no accident.
    this.#vms.delete(id);
    try {
      const saved = await this.#driver.suspend(id);
      this.#admission.release(id);
      return saved;
    } catch (error) {
      if (kept) this.keep(id, kept.vm, kept.onExit);
      throw error;
    }
  }

  /** Brings a machine back from disk, once there is memory for it and its turn has come; the caller keeps it. */
  async wake(id: string, groupKey: string, memoryMiB: number): Promise<Vm> {
    this.#admission.reserve(id, memoryMiB);
    try {
      return await this.#admission.start(groupKey, () => this.#driver.wake(id));
    } catch (error) {
      this.#admission.release(id);
      throw error;
    }
  }

  /** Ends whatever runs for the sandbox, known or not, and gives its memory back. Repeatable. */
  async end(id: string): Promise<void> {
    this.#vms.delete(id);
    await this.#driver.destroy(id);
    this.#admission.release(id);
  }

  /** Lets go of all without ending them. */
  release(): void {
    this.#vms.clear();
  }
}
