import { readdirSync, readFileSync } from "node:fs";

export interface FoundProcess {
  pid: number;
  command: string;
}

/**
 * The processes that tests of the run with this temporary folder started: they inherited its name in their environment
 * or, where they were given a fresh one, have a path below it as an argument. Test workers do not count.
 */
export function processesOfRun(folder: string): FoundProcess[] {
  const found: FoundProcess[] = [];
  for (const name of readdirSync("/proc")) {
    const pid = Number(name);
    if (!Number.isInteger(pid) || pid === process.pid) {
      continue;
    }
    try {
      const command = readFileSync(`/proc/${pid}/cmdline`, "utf8").replaceAll("\0", " ").trim();
      const environment = readFileSync(`/proc/${pid}/environ`, "utf8");
      const ours = command.includes(`${folder}/`) || environment.split("\0").includes(`SANDBOXES_TEST_RUN=${folder}`);
      // An empty command is a zombie or a kernel thread. Workers are the runner's own children, tests' processes never.
      if (ours && command !== "" && parentOf(pid) !== process.pid) {
        found.push({ pid, command: command.length > 200 ? `${command.slice(0, 200)}…` : command });
      }
    } catch {
      // Gone meanwhile, or another user's.
    }
  }
  return found;
}

function parentOf(pid: number): number {
  // The second field, the name, may hold spaces and brackets.
  const stat = readFileSync(`/proc/${pid}/stat`, "utf8");
  return Number(stat.slice(stat.lastIndexOf(")") + 2).split(" ")[1]);
}
