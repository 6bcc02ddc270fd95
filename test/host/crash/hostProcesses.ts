import { readdirSync, readFileSync, readlinkSync } from "node:fs";
import { basename } from "node:path";

/** Variable that the daemon is started with and hands on; a virtual machine is told by where it runs. */
export const markVariable = "SANDBOXES_CRASH_TEST";

export interface HostProcess {
  pid: number;
  parent: number;
  kind: "daemon" | "spawner" | "machine" | "other";
  /** Of a machine: the name of its directory, which is the sandbox's id or begins with ".build-" for a template. */
  machine: string | undefined;
  command: string;
}

/** What runs for a data directory, looked at from outside: by /proc alone. */
export function hostProcesses(dataDir: string, mark: string): HostProcess[] {
  const found: HostProcess[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) continue;
    try {
      const words = readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
      const directory = readlinkSync(`/proc/${pid}/cwd`);
      const environment = readFileSync(`/proc/${pid}/environ`, "utf8").split("\0");
      const isOurs =
        environment.includes(`${markVariable}=${mark}`) ||
        directory.startsWith(`${dataDir}/`) ||
        words.some((word) => word === dataDir || word.startsWith(`${dataDir}/`));
      const stat = readFileSync(`/proc/${pid}/stat`, "latin1");
      const [state, parent] = stat.slice(stat.lastIndexOf(")") + 2).split(" ");
      if (!isOurs || state === "Z" || state === "X") continue;
      const program = basename(words[0] ?? "");
      const command = words.join(" ").slice(0, 160);
      const isMachine = program.startsWith("qemu");
      const machine = isMachine ? basename(directory.replace(/ \(deleted\)$/, "")) : undefined;
      found.push({ pid, parent: Number(parent), kind: kindOf(program, words, dataDir), machine, command });
    } catch {
      // It ended while we looked, or is another user's.
    }
  }
  // A process that was forked and has not become another program yet looks like the one it came from.
  const isCopy = ({ kind, parent }: HostProcess) => found.some((other) => other.pid === parent && other.kind === kind);
  return found.map((each) => (isCopy(each) ? { ...each, kind: "other" } : each));
}

function kindOf(program: string, words: string[], dataDir: string): HostProcess["kind"] {
  if (program.startsWith("qemu")) return "machine";
  if (program === "spawner" && words.includes("serve")) return "spawner";
  return words.includes("serve") && words.includes(dataDir) ? "daemon" : "other";
}

/** TCP ports that a process listens on. */
export function listeningPorts(pid: number): number[] {
  const sockets = new Set<string>();
  for (const descriptor of readdirSync(`/proc/${pid}/fd`)) {
    try {
      sockets.add(readlinkSync(`/proc/${pid}/fd/${descriptor}`));
    } catch {
      // Closed while we looked.
    }
  }
  const tables = ["tcp", "tcp6"].flatMap((name) => readFileSync(`/proc/${pid}/net/${name}`, "utf8").split("\n"));
  const entries = tables.map((line) => line.trim().split(/\s+/));
  const listening = entries.filter(([, , , state, ...rest]) => state === "0A" && sockets.has(`socket:[${rest[5]}]`));
  return listening.map(([, address]) => Number.parseInt(address?.split(":").at(-1) ?? "", 16));
}
