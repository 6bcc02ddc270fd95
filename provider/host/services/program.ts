import { basename } from "node:path/posix";
import type { ImageConfig } from "../images/imageStore";
import type { Program } from "../store/sandboxStore";

interface Override {
  entrypoint?: string[] | null;
  cmd?: string[] | null;
}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

/** Without arguments and with nothing on stdin these end at once: an image's habit, not a program to start. */
const interactive = new Set(["sh", "bash", "ash", "dash", "zsh", "python", "python3", "node", "irb", "ghci", "R"]);

/**
 * Joins the image's configuration with what the disk image and the sandbox override, by Docker's rules: an entrypoint
 * of one's own drops the image's cmd.
 */
export function programOf(
  config: ImageConfig,
  diskImage: Override,
  sandbox: Override,
  environment: Record<string, string>,
): Program {
  let { entrypoint, cmd } = config;
  let asked = false;
  for (const layer of [diskImage, sandbox]) {
    if (layer.entrypoint?.length) [entrypoint, cmd, asked] = [layer.entrypoint, [], true];
    if (layer.cmd?.length) [cmd, asked] = [layer.cmd, true];
  }
  const argv = [...entrypoint, ...cmd];
  const idle = !asked && argv.length === 1 && interactive.has(basename(argv[0]!));
  const user = config.user || "root";
  return {
    argv: idle ? [] : argv,
    env: { PATH: defaultPath, ...homeOf(user), ...config.env, ...environment },
    workingDirectory: config.workingDir || "/",
    user,
  };
}

/** Only root's home is known without the guest's passwd. */
function homeOf(user: string): Record<string, string> {
  return /^(root|0)(:.*)?$/.test(user) ? { HOME: "/root" } : {};
}
