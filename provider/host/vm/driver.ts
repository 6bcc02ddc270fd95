import type { GuestAgent } from "./guestAgent";

/**
 * How the host runs virtual machines. One implementation over QEMU, one in-process for fast tests; another VMM is
 * another folder that passes `test/host/vm/driverContract.ts`.
 *
 * A *template* is a booted, warmed and frozen VM; a *clone* is a running copy of it whose memory and disk are
 * copy-on-write. Everything a template depends on is in its key, so a template is never stale.
 */
export interface VmDriver {
  readonly capabilities: VmCapabilities;

  /** Builds the template if it is not there; callers that ask for the same key at once share one build. */
  ensureTemplate(spec: TemplateSpec, options?: BuildOptions): Promise<Template>;
  /** Templates on disk, newest use first. */
  listTemplates(): Promise<Template[]>;
  /** Of what is on disk that of which no clone can be made: of another kernel, agent or VMM, or damaged. */
  listStaleTemplates(): Promise<StaleTemplate[]>;
  /** Removes a template's files; VMs cloned from it go on, and it takes room until they have ended. Repeatable. */
  removeTemplate(key: string): Promise<void>;

  /** A running copy of the template, its agent connected; `paused` leaves it frozen, to be claimed by `resume()`. */
  clone(template: Template, options: CloneOptions): Promise<Vm>;
  /** Boots without a template. Slow; for templates themselves and for comparison. */
  boot(spec: TemplateSpec, options: CloneOptions): Promise<Vm>;
  /** Finds a VM that an earlier process left running; undefined when it is gone or suspended. */
  adopt(vmId: string): Promise<Vm | undefined>;

  /**
   * Ends a VM's process and keeps on disk what it was: memory, devices, files of its own. A failure leaves it as it was.
   * From then on until `wake` what is on disk is the VM, whatever a crash leaves besides.
   */
  suspend(vmId: string, options?: SaveOptions): Promise<SavedVm>;
  /** What `suspend` left; undefined for a VM that is not suspended. */
  suspended(vmId: string): Promise<SavedVm | undefined>;
  /**
   * Lets a suspended VM go on, its programs too; the caller refreshes it. A failure leaves it suspended, unless it has
   * a disk of its own and had begun to run. `Conflict` when this host cannot run what another version saved.
   */
  wake(vmId: string, options?: SaveOptions): Promise<Vm>;
  /** Makes `directory` hold a copy of a VM, which stands still meanwhile: a complete one, or nothing. */
  save(vmId: string, directory: string, options?: SaveOptions): Promise<SavedVm>;
  /** A new VM out of a saved one, as often as wished; needs the directory only until it returns. */
  restore(directory: string, options: Omit<CloneOptions, "paused">): Promise<Vm>;

  /** Ids of all VMs that this data directory knows, alive or dead; leftovers of dead ones are removed by `destroy`. */
  listVms(): Promise<string[]>;
  /** Ends a VM by id whatever its state, and removes all that it left: process, sockets, files. Repeatable. */
  destroy(vmId: string): Promise<void>;

  /** Closes this process's handles. VMs go on. */
  close(): Promise<void>;
}

export interface VmCapabilities {
  accelerator: "kvm" | "tcg" | "in-process";
  /** Why this accelerator was chosen; one sentence for people. */
  reason: string;
  isolation: "hardware" | "emulated" | "none";
  /** False where programs have this machine's own files and network: nothing is then changed for them by the host. */
  isApart: boolean;
}

export interface TemplateSpec {
  /** Read-only squashfs of the image. */
  rootfsPath: string;
  /** `sha256:…` of the rootfs; part of the key. */
  rootfsDigest: string;
  vcpus: number;
  memoryMiB: number;
  /** Size limit of the writable layer, `MiB`. */
  diskMiB: number;
  /** Run in the guest before it is frozen, so that clones find it in memory; part of the key. */
  warmUp?: string[][];
  /** How the image's programs are started, those of `warmUp` too; part of the key. */
  program?: { env: Record<string, string>; cwd: string; user: string };
}

export interface BuildOptions {
  signal?: AbortSignal;
  onProgress?: (message: string) => void;
}

export interface Template {
  key: string;
  spec: TemplateSpec;
  createdAt: string;
  /** Bytes on disk. */
  sizeBytes: number;
  bootMs: number;
}

export interface StaleTemplate {
  key: string;
  /** Bytes on disk. */
  sizeBytes: number;
}

export interface CloneOptions {
  /** Names the VM's directory; `[a-z0-9-]{1,64}`, unique for ever. */
  vmId: string;
  paused?: boolean;
  /** Thousandths of a processor that it may use; default all that it has. Enforced where the host can, see `doctor`. */
  cpuMillis?: number;
  signal?: AbortSignal;
}

export interface SaveOptions {
  signal?: AbortSignal;
}

export interface SavedVm {
  savedAt: string;
  /** Bytes on disk. */
  sizeBytes: number;
}

export interface Vm {
  readonly id: string;
  readonly pid: number;
  /** Connected on return from `clone`, `boot` and `adopt`; calls fail with `GuestFailed` once the VM is gone. */
  readonly agent: GuestAgent;
  readonly paused: boolean;
  /** Settles once, when the VM has ended for whatever reason; never rejects. */
  readonly exited: Promise<VmExit>;
  /** Freezes the vCPUs. Repeatable. */
  pause(): Promise<void>;
  /** Lets the vCPUs run. Repeatable. The caller refreshes the guest (`agent.refresh`) before it hands the VM out. */
  resume(): Promise<void>;
  /** As `VmDriver.destroy`. */
  destroy(): Promise<void>;
}

export interface VmExit {
  reason: string;
}
