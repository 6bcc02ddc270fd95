import type { Vm, VmDriver } from "../vm/driver";
import type { Admission } from "./admission";

/** The virtual machines of this process's sandboxes, by sandbox id. */
export class Machines {
  readonly #driver: VmDriver;
  readonly #admission: Admission;
  readonly #vms = new Map<string, Vm>();

  constructor(parts: { driver: VmDriver; admission: Admission }) {
    this.#driver = parts.driver;
    this.#admission = parts.admission;
  }

  get(id: string): Vm | undefined {
    return this.#vms.get(id);
  }

  /** Keeps a machine; `onExit` is called once with the reason when it ends otherwise than by `end`. */
  keep(id: string, vm: Vm, onExit: (reason: string) => void): void {
    this.#vms.set(id, vm);
    void vm.exited.then(({ reason }) => {
      if (this.#vms.get(id) === vm) onExit(reason);
    });
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
