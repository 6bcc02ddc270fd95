import { randomBytes } from "node:crypto";
import { isSandboxesError } from "../../client/errors";
import { cpuMillis } from "../../client/wire/quantities";
import type { SandboxRecord } from "../store/sandboxStore";
import type { Vm, VmDriver } from "../vm/driver";
import type { GuestIdentity } from "../vm/guestAgent";
import type { Admission } from "./admission";
import type { DiskImageService } from "./diskImages";
import { answeredByGuest } from "./guestLimit";
import { machineSize } from "./newSandbox";
import { programOf } from "./program";
import type { SnapshotShelf } from "./snapshotShelf";
import { warmUpOf } from "./warmUp";

export interface StartParts {
  diskImages: DiskImageService;
  driver: VmDriver;
  admission: Admission;
  snapshots: Pick<SnapshotShelf, "source" | "directoryOf">;
}

/**
 * From a record to a machine that answers: image, template, clone, identity. What it learns (program, image) is in the
 * record it returns; on failure the caller destroys what may be there.
 */
export async function startSandbox(
  parts: StartParts,
  record: SandboxRecord,
  signal: AbortSignal,
): Promise<{ record: SandboxRecord; vm: Vm }> {
  const { image, diskImage } = await parts.diskImages.source(record, signal);
  const { rootfsPath, rootfsDigest } = image;
  const warmUp = warmUpOf(image.config, diskImage.warmUp);
  const { env, user, workingDirectory: cwd } = programOf(image.config, {}, {}, {});
  const spec = { rootfsPath, rootfsDigest, ...machineSize(record), warmUp, program: { env, user, cwd } };
  const clone = async () => {
    const template = await parts.driver.ensureTemplate(spec, { signal });
    const work = () =>
      parts.driver.clone(template, { vmId: record.id, cpuMillis: cpuMillis(record.resources.cpu), signal });
    return parts.admission.start(record.groupKey, work, signal);
  };
  const vm = await clone().catch((error: unknown) => {
    // The template was removed while this one waited for its turn.
    if (isSandboxesError(error, "NotFound")) return clone();
    throw error;
  });
  await refreshGuest(record.id, vm);
  const program = programOf(image.config, diskImage, record, record.environment);
  const imageConfig = { ...image.config, ...ownProgramOf(diskImage) };
  return { vm, record: { ...record, program, imageDigest: image.digest, imageConfig } };
}

/** What the disk image says of its program instead of the image it was made from. */
function ownProgramOf({ entrypoint, cmd }: { entrypoint?: string[]; cmd?: string[] }) {
  if (entrypoint?.length) return { entrypoint, cmd: cmd ?? [] };
  return cmd?.length ? { cmd } : {};
}

/** A guest's clock is behind by no more than its answer took. */
const promptAnswerMs = 20;
const maxRefreshes = 5;

/**
 * Makes a guest that was copied or slept an individual of this moment; its names follow from the sandbox's id. Done
 * again while its answers are slow, as the first one of an emulated guest is: its clock would be late by that.
 */
export async function refreshGuest(sandboxId: string, { agent }: Pick<Vm, "agent">): Promise<void> {
  for (let done = 0; done < maxRefreshes; done++) {
    const asked = performance.now();
    await answeredByGuest(sandboxId, (signal) => agent.refresh(identityOf(sandboxId), { signal }));
    if (performance.now() - asked <= promptAnswerMs) return;
  }
}

function identityOf(sandboxId: string): GuestIdentity {
  return {
    hostname: sandboxId.slice(0, 8),
    machineId: sandboxId.replaceAll("-", ""),
    entropy: randomBytes(64),
    clockMs: Date.now(),
  };
}
