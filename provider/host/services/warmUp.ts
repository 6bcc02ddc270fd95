import type { StoredImage } from "../images/imageStore";

/** Image label with a shell command to run in a template before it is frozen. */
export const warmUpLabel = "pulumi-sandboxes.warm-up";

/**
 * What a template runs before it is frozen, so that its clones find the pages and caches in memory. First of: the disk
 * image's own `warmUp` argv, the image's label, and by default an idle interpreter of those that most code wants.
 */
export function warmUpOf(image: StoredImage, own?: string[]): string[][] {
  const shell = (command: string) => ["/bin/sh", "-c", `${exportPath(image)}${command}`];
  if (own?.length) return [own];
  const label = image.config.labels[warmUpLabel];
  if (label) return [shell(label)];
  return [shell("if command -v python3 >/dev/null 2>&1; then python3 -c ''; fi")];
}

/** A warm-up has no environment of its own: without the image's PATH its programs would not be found. */
function exportPath(image: StoredImage): string {
  const path = image.config.env.PATH;
  return path ? `export PATH=${quote(path)}; ` : "";
}

function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
