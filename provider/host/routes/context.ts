import type { EgressService } from "../egress/egressService";
import type { PortService } from "../ports/portService";
import type { BackgroundService } from "../services/background";
import type { CommitService } from "../services/commits";
import type { DiskImageService } from "../services/diskImages";
import type { ExecService } from "../services/exec";
import type { FileService } from "../services/files";
import type { GarbageService } from "../services/garbage";
import type { GroupService } from "../services/groups";
import type { ProcessService } from "../services/processes";
import type { SandboxService } from "../services/sandboxes";
import type { SecretService } from "../services/secrets";
import type { SnapshotService } from "../services/snapshots";
import type { StatsService } from "../services/stats";
import type { StatusService } from "../services/status";
import type { RoleAssignmentStore } from "../store/roleAssignmentStore";
import type { VmDriver } from "../vm/driver";
import type { VolumeService } from "../volumes/volumeService";
import type { ReplayMemory } from "./replay";

/** What routes may use. */
export interface RouteContext {
  groups: GroupService;
  diskImages: DiskImageService;
  sandboxes: SandboxService;
  snapshots: SnapshotService;
  commits: CommitService;
  stats: StatsService;
  processes: ProcessService;
  background: BackgroundService;
  exec: ExecService;
  files: FileService;
  secrets: SecretService;
  volumes: VolumeService;
  ports: PortService;
  egress: EgressService;
  status: StatusService;
  garbage: GarbageService;
  roleAssignments: RoleAssignmentStore;
  replay: ReplayMemory;
  region: string;
  /** For its capabilities, which may sink while it runs: a guest that does not boot under KVM is emulated. */
  driver: Pick<VmDriver, "capabilities">;
  /** Bearer token that each request must carry; undefined on a unix socket, where the file's mode decides. */
  token: string | undefined;
  /** Address of the unix socket that is served; undefined for TCP. Its callers are users of this machine. */
  unixEndpoint: string | undefined;
  /** Ends the daemon, and all sandboxes when asked to; returns at once. */
  shutDown: (options: { stopSandboxes: boolean }) => void;
}
