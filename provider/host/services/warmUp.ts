import { basename } from "node:path/posix";
import type { ImageConfig } from "../images/imageStore";

/** Image label with a shell command to run in a template before it is frozen. */
export const warmUpLabel = "pulumi-sandboxes.warm-up";

/** Interpreters by name, and how each is started without doing anything. */
const interpreters: [name: RegExp, idle: string[]][] = [
  [/^python[\d.]*$/, ["-c", ""]],
  [/^node$/, ["-e", ""]],
  [/^ruby$/, ["-e", ""]],
  [/^perl$/, ["-e", ""]],
];

/**
 * What a template runs before it is frozen, so that its clones find pages and caches in memory; the driver warms shell
 * and agent by itself. First of: the disk image's own `warmUp` argv; the image's label, run by its shell; the
 * interpreter that is the image's default command. A command that fails fails the template.
 */
export function warmUpOf(config: ImageConfig, own?: string[]): string[][] {
  if (own?.length) return [own];
  const label = config.labels[warmUpLabel];
  if (label) return [["/bin/sh", "-c", label]];
  const program = [...config.entrypoint, ...config.cmd][0] ?? "";
  const idle = interpreters.find(([name]) => name.test(basename(program)))?.[1];
  return idle ? [[program, ...idle]] : [];
}
