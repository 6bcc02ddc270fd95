import { SandboxesError } from "../../client/errors";
import type { SandboxRecord } from "../store/sandboxStore";
import type { SnapshotRecord } from "../store/snapshotStore";
import type { VolumeStore } from "../store/volumeStore";
import type { MountedVolume } from "./mountpoints";

/**
 * The volumes that a snapshot's copies will have as well: its guest speaks of their files. Throws `Unsupported` for a
 * `DataDisk`, which cannot belong to the sandbox and to its copies.
 */
export function volumesOfSnapshot(store: VolumeStore, sandbox: SandboxRecord): SnapshotRecord["volumes"] {
  return sandbox.volumes?.map((mount) => {
    const volume = store.named(sandbox.groupKey, mount.volumeName);
    if (volume?.type === "AzureBlob") return { ...mount, directory: volume.directory };
    throw new SandboxesError(
      "Unsupported",
      `Cannot make a snapshot of sandbox '${sandbox.id}': the DataDisk "${mount.volumeName}" is for one sandbox`,
      { hint: "commit the sandbox to a disk image, or keep what is to be shared in a volume of type AzureBlob" },
    );
  });
}

/** The same at the making of a copy; throws `Conflict` when one of them is not there any more. */
export function volumesOfCopy(store: VolumeStore, snapshot: SnapshotRecord): MountedVolume[] | undefined {
  return snapshot.volumes?.map(({ directory, ...mount }) => {
    // Another one of that name has other files.
    if (store.named(snapshot.groupKey, mount.volumeName)?.directory === directory) return mount;
    throw new SandboxesError(
      "Conflict",
      `Cannot make a sandbox of snapshot "${snapshot.id}": its volume "${mount.volumeName}" is gone`,
      { field: "sourcesRef.snapshot", serviceCode: "VolumeNotFound" },
    );
  });
}
