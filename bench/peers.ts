import { execFile, spawn } from "node:child_process";
import { mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { promisify } from "node:util";
import type { Vm } from "../provider/host/vm/driver";
import { echo, type PythonMachines, python, runInGuest, withPythonMachines } from "./pythonTemplate.ts";
import { createReport, type Report, type Result } from "./report.ts";

export interface PeersBenchOptions {
  /** Default 15. */
  rounds?: number;
}

interface Peer {
  name: string;
  workload: string;
  /** `{id}` stands for a name of its own. */
  argv: string[];
}

const run = promisify(execFile);
const script = join(process.cwd(), "bench", "peers.sh");
const workloads: Record<string, string[]> = { echo, python };
const ours = "our paused clone -> echo";

/**
 * Other sandboxes on the same machine, over the same tree, in turns with ours: from the start to the complete output.
 * None of those without a kernel of their own is a boundary like a virtual machine's.
 */
export async function benchPeers({ rounds = 15 }: PeersBenchOptions = {}): Promise<Result[]> {
  if (process.getuid?.() !== 0) {
    process.stdout.write("\nPeers: skipped, they need root\n");
    return [];
  }
  const directory = await mkdtemp(join(tmpdir(), "sandboxes-peers-"));
  try {
    return await withPythonMachines(async (machines) => {
      await run("unsquashfs", ["-quiet", "-no-progress", "-d", join(directory, "rootfs"), machines.spec.rootfsPath]);
      const peers = await preparePeers(directory);
      const leftOut = new Set<string>();
      const report = createReport({ title: "Peers, start to first output", baseline: ours });
      for (let round = 0; round < rounds; round++) {
        await runOurs(machines, report, round);
        for (const [index, peer] of peers.entries()) {
          if (leftOut.has(peer.name)) continue;
          const reason = await runPeer(peer, report, `bench-${process.pid}-${index}-${round}`);
          if (!reason) continue;
          process.stdout.write(`\nleft out: ${peer.name} ${reason}\n`);
          leftOut.add(peer.name);
        }
      }
      return report.finish();
    });
  } finally {
    await run("bash", [script, "clean", directory]);
    await rm(directory, { recursive: true });
  }
}

async function preparePeers(directory: string): Promise<Peer[]> {
  const asked = Object.entries(workloads).flatMap(([name, argv]) => ["--", name, ...argv]);
  const { stdout } = await run("bash", [script, "prepare", directory, ...asked.slice(1)]);
  const peers: Peer[] = [];
  const skipped = new Map<string, string>();
  for (const [kind, name = "", ...rest] of stdout.split("\n").map((line) => line.split("\t"))) {
    if (kind === "skipped") skipped.set(name, rest[0] ?? "");
    if (kind === "peer") peers.push({ name, workload: rest[0] ?? "", argv: rest.slice(1) });
  }
  if (skipped.size > 0) {
    process.stdout.write(`\nskipped: ${[...skipped].map(([name, reason]) => `${name} (${reason})`).join(", ")}\n`);
  }
  return peers;
}

async function runOurs({ driver, template }: PythonMachines, report: Report, round: number): Promise<void> {
  const frozen = await template();
  for (const [name, argv] of Object.entries(workloads)) {
    const vm = await report.time(`our clone -> ${name}`, async () => {
      const made = await driver.clone(frozen, { vmId: `clone-${name}-${round}` });
      await runInGuest(made.agent, argv);
      return made;
    });
    await vm.destroy();
  }
  for (const [name, argv] of Object.entries(workloads)) {
    const vm: Vm = await driver.clone(frozen, { vmId: `paused-${name}-${round}`, paused: true });
    await report.time(`our paused clone -> ${name}`, async () => {
      await vm.resume();
      await runInGuest(vm.agent, argv);
    });
    await vm.destroy();
  }
}

/**
 * Until the output is complete; then its end is waited for, which is not counted. Returns why it cannot be measured
 * here, if so.
 */
async function runPeer({ name, workload, argv }: Peer, report: Report, id: string): Promise<string | undefined> {
  const [program = "", ...args] = argv.map((argument) => argument.replace("{id}", id));
  const expected = workload === "echo" ? "hi\n" : "1\n";
  const started = performance.now();
  const child = spawn(program, args, { stdio: ["ignore", "pipe", "pipe"] });
  let output = "";
  let complaint = "";
  let ms = Number.NaN;
  child.stdout.on("data", (chunk) => {
    output += chunk;
    if (output.length >= expected.length && Number.isNaN(ms)) ms = performance.now() - started;
  });
  child.stderr.on("data", (chunk) => {
    complaint = (complaint + chunk).slice(-300);
  });
  const code = await new Promise((resolve, reject) => child.once("error", reject).once("close", resolve));
  if (code !== 0 || output !== expected) return `ended with ${code}, "${output}": ${complaint.trim()}`;
  report.add(`${name} -> ${workload}`, ms);
  return undefined;
}
