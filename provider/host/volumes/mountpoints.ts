import { SandboxesError } from "../../client/errors";
import type { SandboxVolume } from "../../client/wire/volumes";

/** A volume in a sandbox, as kept. */
export interface MountedVolume {
  volumeName: string;
  /** Absolute, without a slash at its end. */
  mountpoint: string;
  readOnly: boolean;
}

/** The kernel's own, and what the agent reads to start a program: no volume may hide them. */
const taken = /^\/(?:$|(?:proc|sys|dev)(?:\/|$)|etc$)/;

/** Reads what a request asks to mount besides what is mounted; throws `Invalid` and names the field. */
export function readMounts(asked: SandboxVolume[], mounted: MountedVolume[], field: string): MountedVolume[] {
  const all = [...mounted];
  for (const { volumeName, mountpoint: written, readOnly } of asked) {
    const mountpoint = written.replace(/\/+/g, "/").replace(/\/$/, "");
    const refuse = (why: string) => {
      const message = `Cannot mount the volume "${volumeName}" at "${written}": ${why}`;
      return new SandboxesError("Invalid", message, { field });
    };
    if (mountpoint === "" || taken.test(mountpoint)) throw refuse("the system needs that place for itself");
    if (Buffer.byteLength(mountpoint) > 1024) throw refuse("the path is longer than 1024 bytes");
    for (const other of all) {
      if (other.volumeName.toLowerCase() === volumeName.toLowerCase()) {
        throw refuse(`it is mounted at "${other.mountpoint}" already`);
      }
      if (isWithin(mountpoint, other.mountpoint) || isWithin(other.mountpoint, mountpoint)) {
        throw refuse(`"${other.mountpoint}" is the place of "${other.volumeName}"`);
      }
    }
    all.push({ volumeName, mountpoint, readOnly: readOnly ?? false });
  }
  return all.slice(mounted.length);
}

function isWithin(path: string, above: string): boolean {
  return path === above || path.startsWith(`${above}/`);
}
