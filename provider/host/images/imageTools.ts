import { isSandboxesError } from "../../client/errors";
import { startTool, ToolFailure } from "./toolProcess";

export interface ImageTool {
  name: string;
  /** What it is needed for. */
  purpose: string;
  /** Its version as it tells; undefined where it is not installed. */
  version?: string;
  /** How to get it. */
  install: string;
}

const tools = [
  { name: "sqfstar", args: ["-version"], package: "squashfs-tools", purpose: "stores every image" },
  { name: "skopeo", args: ["--version"], package: "skopeo", purpose: "reads docker archives" },
  { name: "setpriv", args: ["--version"], package: "util-linux", purpose: "takes privileges from the others" },
  { name: "mmdebstrap", args: ["--version"], package: "mmdebstrap", purpose: "makes the catalogue's images" },
];

/** The programs that images need, each with the version found. */
export function checkImageTools(signal?: AbortSignal): Promise<ImageTool[]> {
  return Promise.all(
    tools.map(async ({ name, args, package: packageName, purpose }) => {
      const version = await versionOf(name, args, signal);
      return { name, purpose, install: `apt-get install ${packageName}`, ...(version !== undefined && { version }) };
    }),
  );
}

async function versionOf(tool: string, args: string[], signal: AbortSignal | undefined): Promise<string | undefined> {
  const texts: string[] = [];
  const collect = (text: Buffer | string) => {
    texts.push(text.toString());
  };
  const running = startTool({ tool, args, stdout: "pipe", signal, onStderr: collect });
  running.child.stdout?.on("data", collect);
  try {
    await running.done;
  } catch (error) {
    if (isSandboxesError(error, "HostUnavailable")) return undefined;
    // Some print their version and fail.
    if (!(error instanceof ToolFailure)) throw error;
  }
  return /\d+(?:\.\d+)+/.exec(texts.join(""))?.[0] ?? "unknown";
}
