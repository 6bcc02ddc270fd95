import { cpSync, mkdirSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { SandboxesError } from "../../../provider/client/errors";
import type { CloneOptions, Template, TemplateSpec, Vm, VmDriver, VmExit } from "../../../provider/host/vm/driver";
import type { GuestIdentity } from "../../../provider/host/vm/guestAgent";
import { FolderAgent } from "./folderAgent";

/** A machine that is a folder and child processes of the test. */
export class FolderVm implements Vm {
  readonly pid = process.pid;
  readonly id: string;
  readonly folder: string;
  readonly agent: FolderAgent;
  readonly exited: Promise<VmExit>;
  paused = false;
  identities: GuestIdentity[] = [];
  #exit!: (exit: VmExit) => void;

  constructor(id: string) {
    this.id = id;
    this.folder = mkdtempSync(join(tmpdir(), "machine-"));
    mkdirSync(join(this.folder, "tmp"));
    this.agent = new FolderAgent(this);
    this.exited = new Promise((resolve) => {
      this.#exit = resolve;
    });
  }

  async pause(): Promise<void> {
    this.paused = true;
  }

  async resume(): Promise<void> {
    this.paused = false;
  }

  async destroy(): Promise<void> {
    this.crash("destroyed");
  }

  crash(reason: string): void {
    this.agent.close();
    // Again where a program that is just being killed has put something into it.
    rmSync(this.folder, { recursive: true, force: true, maxRetries: 10 });
    this.#exit({ reason });
  }
}

function keyOf(spec: TemplateSpec): string {
  return JSON.stringify(spec);
}

/** Stands for the machine room: it outlives the drivers that are made from it, as VMs outlive the daemon. */
export class Machines {
  readonly vms = new Map<string, FolderVm>();
  readonly templates: TemplateSpec[] = [];
  /** Keys of templates that an upgrade left. */
  readonly stale: string[] = [];
  /** Set to make the next clones fail or wait. */
  beforeClone: (() => Promise<void>) | undefined;
  /** Likewise for what is saved or comes back. */
  beforeSave: (() => Promise<void>) | undefined;
  beforeWake: (() => Promise<void>) | undefined;
  readonly suspended = new Set<string>();
  isolation: "hardware" | "emulated" | "none" = "none";
  isApart = true;

  driver(): VmDriver {
    const clone = async (_template: unknown, { vmId }: CloneOptions): Promise<Vm> => {
      await this.beforeClone?.();
      const vm = new FolderVm(vmId);
      this.vms.set(vmId, vm);
      return vm;
    };
    const destroy = async (vmId: string): Promise<void> => {
      await this.vms.get(vmId)?.destroy();
      this.vms.delete(vmId);
      this.suspended.delete(vmId);
    };
    const saved = () => ({ savedAt: "2026-01-01T00:00:00Z", sizeBytes: 39 * 2 ** 20 });
    return {
      capabilities: {
        ...{ accelerator: "in-process", reason: "it is a test" },
        ...{ isolation: this.isolation, isApart: this.isApart },
      },
      ensureTemplate: async (spec) => {
        this.templates.push(spec);
        return { key: keyOf(spec), spec, createdAt: "", sizeBytes: 0, bootMs: 0 };
      },
      listTemplates: async () =>
        this.templates.map((spec): Template => ({ key: keyOf(spec), spec, createdAt: "", sizeBytes: 0, bootMs: 0 })),
      listStaleTemplates: async () => this.stale.map((key) => ({ key, sizeBytes: 7 * 2 ** 20 })),
      removeTemplate: async (key) => {
        this.stale.splice(0, this.stale.length, ...this.stale.filter((each) => each !== key));
        this.templates.splice(0, this.templates.length, ...this.templates.filter((spec) => keyOf(spec) !== key));
      },
      clone,
      boot: () => Promise.reject(new SandboxesError("Unsupported", "no boot in a test")),
      adopt: async (vmId) => (this.suspended.has(vmId) ? undefined : this.vms.get(vmId)),
      suspend: async (vmId) => {
        await this.beforeSave?.();
        const vm = this.#running(vmId);
        vm.paused = true;
        this.suspended.add(vmId);
        return saved();
      },
      suspended: async (vmId) => (this.suspended.has(vmId) ? saved() : undefined),
      wake: async (vmId) => {
        await this.beforeWake?.();
        const vm = this.vms.get(vmId);
        if (!vm || !this.suspended.delete(vmId)) throw new SandboxesError("NotFound", `"${vmId}" is not suspended`);
        vm.paused = false;
        return vm;
      },
      save: async (vmId, directory) => {
        await this.beforeSave?.();
        cpSync(this.#running(vmId).folder, directory, { recursive: true });
        return saved();
      },
      restore: async (directory, { vmId }) => {
        await this.beforeClone?.();
        const vm = new FolderVm(vmId);
        cpSync(directory, vm.folder, { recursive: true });
        this.vms.set(vmId, vm);
        return vm;
      },
      listVms: async () => [...this.vms.keys()],
      destroy,
      close: async () => undefined,
    };
  }

  #running(vmId: string): FolderVm {
    const vm = this.vms.get(vmId);
    if (vm && !this.suspended.has(vmId)) return vm;
    throw new SandboxesError("NotFound", `"${vmId}" does not run`);
  }

  /** Ends all; a test's last call. */
  close(): void {
    for (const vm of this.vms.values()) vm.crash("the test ended");
    this.vms.clear();
  }
}
