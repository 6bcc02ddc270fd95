import { spawn } from "node:child_process";
import { copyFile, mkdir, mkdtemp, open, readFile, rm } from "node:fs/promises";
import type { Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { SandboxesError } from "../../../client/errors";
import { nativeBinary } from "../native";
import { identify, type ProcessIdentity } from "../processes";
import { runTool } from "../runTool";
import { connectUnix } from "../unixSocket";
import { makeControlGroup } from "./controlGroup";

/** How far the host is kept out of reach of what runs in an in-process "VM". */
export type Containment = "namespaces" | "none";

const startLimitMs = 10_000;

// In a mount namespace of its own the host's files are seen through a layer that takes all writes and goes with the
// last process; in a network namespace of its own there is nothing but a loopback, as in a machine.
const layer = `set -e
mkdir -p scratch
mount -t tmpfs -o mode=755 scratch scratch
mkdir scratch/data scratch/work scratch/root
mount -t overlay overlay -o lowerdir=/,upperdir="$PWD"/scratch/data,workdir="$PWD"/scratch/work scratch/root
for folder in /dev /sys; do mount --rbind $folder scratch/root$folder; done
mount -t proc proc scratch/root/proc
for folder in /tmp /run; do mount -t tmpfs -o mode=1777 scratch scratch/root$folder; done`;

// In it /run/vm is the VM's directory. Arguments: where cgroup2 is mounted, and the VM's group in it.
const enter = `${layer}
mkdir scratch/root/run/vm
mount --bind . scratch/root/run/vm
if [ -n "$2" ]; then mount --bind "$2" "scratch/root$1"; fi
exec chroot scratch/root /run/vm/agent --socket /run/vm/agent.sock`;

const unshare = ["--mount", "--pid", "--net", "--fork", "--kill-child=SIGKILL"];

/** Namespaces where this user may make them; that takes root: a layer over the whole tree is refused to others. */
export async function findContainment(): Promise<Containment> {
  const folder = await mkdtemp(join(tmpdir(), "sandboxes-probe-"));
  try {
    await runTool("unshare", [...unshare, "sh", "-c", layer], { cwd: folder, timeoutMs: 5_000 });
    return "namespaces";
  } catch {
    // Whatever the reason, it can be done without.
    return "none";
  } finally {
    await rm(folder, { recursive: true });
  }
}

/** Starts the agent as a process of this machine, in `directory`, which exists. It outlives this process. */
export async function startAgentProcess(
  directory: string,
  containment: Containment,
): Promise<{ identity: ProcessIdentity; ended: Promise<string> }> {
  await mkdir(join(directory, "scratch"), { recursive: true });
  await copyFile(nativeBinary("agent"), join(directory, "agent"));
  const log = await open(join(directory, "agent.log"), "a", 0o600);
  const [program, args] =
    containment === "namespaces"
      ? (["unshare", [...unshare, "sh", "-c", enter, "enter", ...(await groupArguments(directory))]] as const)
      : (["./agent", ["--socket", "agent.sock"]] as const);
  try {
    const stdio = ["ignore", log.fd, log.fd] as const;
    const child = spawn(program, [...args], { cwd: directory, detached: true, stdio: [...stdio] });
    const ended = new Promise<string>((resolve) => {
      child.once("exit", (code, signal) => resolve(signal ?? `exit code ${code}`));
      child.once("error", (error) => resolve(error.message));
    });
    child.unref();
    const identity = child.pid === undefined ? undefined : await identify(child.pid);
    if (!identity) throw new SandboxesError("HostUnavailable", `cannot start the agent: ${await ended}`);
    return { identity, ended };
  } finally {
    await log.close();
  }
}

async function groupArguments(directory: string): Promise<string[]> {
  const place = await makeControlGroup(directory);
  return place ? [place.mount, place.group] : ["", ""];
}

/** The agent listens soon after its start. */
export async function connectAgentProcess(directory: string, signal?: AbortSignal): Promise<Socket> {
  const deadline = Date.now() + startLimitMs;
  for (;;) {
    try {
      return await connectUnix(directory, "agent.sock", signal);
    } catch (error) {
      signal?.throwIfAborted();
      if (Date.now() > deadline) {
        const log = await readFile(join(directory, "agent.log"), "utf8").catch(() => "");
        throw new SandboxesError("GuestFailed", `the agent does not listen: ${log.slice(-300)}`, { cause: error });
      }
      await delay(5);
    }
  }
}

/** The agent and all that it runs, the agent first. */
export async function agentProcesses(outermost: number): Promise<number[]> {
  const tree = await processTree(outermost);
  const name = await readFile(`/proc/${outermost}/comm`, "utf8").catch(() => "");
  // The one that made the namespaces only waits.
  return name.trim() === "unshare" ? tree.slice(1) : tree;
}

async function processTree(pid: number): Promise<number[]> {
  const children = await readFile(`/proc/${pid}/task/${pid}/children`, "utf8").catch(() => "");
  const below = await Promise.all(children.split(" ").filter(Boolean).map(Number).map(processTree));
  return [pid, ...below.flat()];
}
