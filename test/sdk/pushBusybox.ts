import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { runTool } from "../../provider/host/vm/runTool";
import { busyboxRootfs } from "../host/vm/busyboxRootfs";

/** Debian's busybox as somebody's image in a registry without TLS: `127.0.0.1:5000/tools:1.0`. */
export async function pushBusybox(reference: string): Promise<void> {
  const work = await mkdtemp(join(tmpdir(), "busybox-"));
  try {
    const [layout, root] = [join(work, "layout"), join(work, "root")];
    const image = ["--image", `${layout}:busybox`];
    await runTool("unsquashfs", ["-quiet", "-no-progress", "-dest", root, (await busyboxRootfs()).rootfsPath]);
    await runTool("umoci", ["init", "--layout", layout]);
    await runTool("umoci", ["new", ...image]);
    await runTool("umoci", ["insert", ...image, root, "/"]);
    await runTool("umoci", ["config", ...image, "--config.env", "PATH=/bin", "--config.cmd", "sh"]);
    const source = `oci:${layout}:busybox`;
    await runTool("skopeo", ["copy", "--quiet", "--dest-tls-verify=false", source, `docker://${reference}`]);
  } finally {
    await rm(work, { recursive: true });
  }
}
