import type { DatabaseSync } from "node:sqlite";
import { z } from "zod";
import { ipAccessControl, portAuth, portCors } from "../../client/wire/ports";
import { imageConfigSchema } from "../images/imageConfig";
import { RecordTable } from "./recordTable";

const argv = z.array(z.string());
const text = z.record(z.string(), z.string());

/** How programs start in a sandbox: the image's configuration under the sandbox's own. */
const program = z.object({
  /** What the sandbox itself starts; empty: nothing. */
  argv,
  env: text,
  workingDirectory: z.string(),
  user: z.string(),
});
export type Program = z.output<typeof program>;

/** What a copy of the sandbox is made with as well. */
export const inheritedByCopies = {
  /** Known once the image is. */
  program: program.optional(),
  imageDigest: z.string().optional(),
  imageConfig: imageConfigSchema.optional(),
};

const volumeMount = z.object({ volumeName: z.string(), mountpoint: z.string(), readOnly: z.boolean() });

/** As the sandbox had them; the directory tells a volume from a later one of its name. */
export const snapshotVolumes = z.array(volumeMount.extend({ directory: z.string() })).optional();

const portRecord = z.looseObject({
  port: z.number(),
  name: z.string().optional(),
  auth: portAuth,
  activationMode: z.enum(["Manual", "OnDemand"]),
  protocol: z.enum(["Http", "Http2"]),
  ipAccessControl: ipAccessControl.optional(),
  cors: portCors.optional(),
  /** Where the host listens for it; absent until it does. */
  hostPort: z.number().optional(),
});
export type PortRecord = z.output<typeof portRecord>;

const sandboxRecord = z.object({
  id: z.string(),
  groupKey: z.string(),
  labels: text,
  /** Secret, and write-only on the wire. */
  environment: text,
  /** As the caller asked; absent: the image's. */
  entrypoint: argv.optional(),
  cmd: argv.optional(),
  sourcesRef: z.record(z.string(), z.unknown()),
  /** Normalised, `1000m`, `512Mi`. */
  resources: z.object({ cpu: z.string(), memory: z.string(), disk: z.string() }),
  lifecycle: z.record(z.string(), z.unknown()),
  ports: z.array(portRecord).optional(),
  /** As it came, unknown fields too; absent: nothing leaves. */
  egressPolicy: z.record(z.string(), z.unknown()).optional(),
  /** Name of a policy of the group; `egressPolicy` wins. */
  egressPolicyId: z.string().optional(),
  volumes: z.array(volumeMount).optional(),
  /** It has had them: what fails to come back later is no reason to give the sandbox up. */
  volumesServed: z.boolean().optional(),
  isolation: z.enum(["hardware", "emulated", "none"]),
  createdAt: z.string(),
  /** While `Creating`: a caller knows its id, so that the creation has to go on after a restart. */
  acknowledged: z.boolean().optional(),
  state: z.enum(["Creating", "Running", "Stopping", "Stopped", "Deleting", "Failed"]),
  stateDetails: z
    .object({
      stoppedReason: z.enum(["UserStopped", "Idle", "Disabled"]).optional(),
      stoppedAt: z.string().optional(),
      failedReason: z.string().optional(),
      failedAt: z.string().optional(),
    })
    .optional(),
  /** Id of the implicit snapshot that the last stop answered with. */
  snapshotId: z.string().optional(),
  /** What the last stop left on disk. */
  coldStorageMiB: z.number().optional(),
  /** When it was last used by a caller, to within a tenth of the time after which it is suspended. */
  lastActiveAt: z.string().optional(),
  ...inheritedByCopies,
});
export type SandboxRecord = z.output<typeof sandboxRecord>;
export type SandboxState = SandboxRecord["state"];

/** Sandboxes on disk. */
export class SandboxStore extends RecordTable<SandboxRecord> {
  constructor(database: DatabaseSync) {
    super(database, "sandboxes", sandboxRecord);
  }
}
