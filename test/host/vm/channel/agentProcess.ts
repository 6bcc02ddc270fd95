import { type ChildProcess, spawn } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, readdirSync, readFileSync, rmSync } from "node:fs";
import { connect, type Socket } from "node:net";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { setTimeout as delay } from "node:timers/promises";
import { expect } from "vitest";
import { connectGuestAgent } from "../../../../provider/host/vm/channel";
import type { ExecRequest, GuestAgent, GuestExit } from "../../../../provider/host/vm/guestAgent";
import { nativeBinary } from "../../../../provider/host/vm/native";

/** The real agent as an ordinary process of this machine, and a folder for its files. */
export interface AgentProcess {
  pid: number;
  folder: string;
  /** Another connection; the agent drops the earlier one. */
  open(): Promise<Socket>;
  connect(): Promise<GuestAgent>;
  /** Ends it and checks that nothing is left. */
  stop(): Promise<void>;
}

export async function startAgent(): Promise<AgentProcess> {
  const folder = mkdtempSync(join(tmpdir(), "agent-"));
  const path = join(folder, "socket");
  const child = spawn(nativeBinary("agent"), ["--socket", path], { stdio: ["ignore", "inherit", "inherit"] });
  await until(() => existsSync(path));
  const open = async (): Promise<Socket> => {
    const socket = connect(path);
    try {
      await once(socket, "connect");
      return socket;
    } catch {
      // The file is there a moment before anybody listens.
      await delay(5);
      return open();
    }
  };
  return {
    pid: child.pid!,
    folder,
    open,
    connect: async () => connectGuestAgent(await open(), { helloTimeoutMs: 60_000 }),
    stop: async () => {
      await end(child);
      rmSync(folder, { recursive: true, force: true });
      expect(groupsOf(child.pid!)).toEqual([]);
    },
  };
}

async function end(child: ChildProcess): Promise<void> {
  if (child.exitCode !== null || child.signalCode !== null) return;
  const exited = once(child, "exit");
  child.kill("SIGTERM");
  await exited;
}

/** Control groups that the agent with this pid made. */
function groupsOf(pid: number): string[] {
  const mount = cgroupMount();
  return mount === undefined ? [] : readdirSync(mount).filter((name) => name === `sandboxes-agent-${pid}`);
}

function cgroupMount(): string | undefined {
  const line = readFileSync("/proc/self/mounts", "utf8")
    .split("\n")
    .find((mount) => mount.split(" ")[2] === "cgroup2");
  return line?.split(" ")[1];
}

/** Whether the agent can make control groups here; without them a daemon can escape from a tree. */
export function hasControlGroups(agent: AgentProcess): boolean {
  return groupsOf(agent.pid).length > 0;
}

export interface Finished extends GuestExit {
  stdout: string;
  stderr: string;
}

/** Runs a program to its end. */
export async function run(agent: GuestAgent, argv: string[], options: Partial<ExecRequest> = {}): Promise<Finished> {
  const process = await agent.exec({ argv, ...options });
  const [stdout, stderr, exit] = await Promise.all([text(process.stdout), text(process.stderr), process.exit]);
  return { ...exit, stdout, stderr };
}

export function shell(agent: GuestAgent, script: string, options: Partial<ExecRequest> = {}): Promise<Finished> {
  return run(agent, ["/bin/sh", "-c", script], { env: { PATH: "/usr/bin:/bin" }, ...options });
}

export async function text(stream: AsyncIterable<Uint8Array>): Promise<string> {
  return (await bytes(stream)).toString();
}

export async function bytes(stream: AsyncIterable<Uint8Array>): Promise<Buffer> {
  const chunks: Uint8Array[] = [];
  for await (const chunk of stream) chunks.push(chunk);
  return Buffer.concat(chunks);
}

export async function* chunksOf(...chunks: (string | Uint8Array)[]): AsyncGenerator<Uint8Array> {
  for (const chunk of chunks) yield Buffer.from(chunk);
}

/** Waits for a state of the world; the test's own time limit is the limit. */
export async function until(holds: () => boolean): Promise<void> {
  while (!holds()) await delay(5);
}

let marks = 0;
/** An argument for `sleep`, about 97 s, that no other process has: finds what a test started. */
export function uniqueSeconds(): string {
  marks += 1;
  return `97.${process.pid}${String(marks).padStart(3, "0")}`;
}

/** Living processes that were started with this argument. */
export function processesWith(argument: string): number[] {
  return readdirSync("/proc")
    .filter((name) => /^\d+$/.test(name))
    .filter((name) => commandLine(name).includes(argument))
    .map(Number);
}

function commandLine(pid: string): string[] {
  try {
    return readFileSync(`/proc/${pid}/cmdline`, "utf8").split("\0");
  } catch {
    return []; // ended meanwhile
  }
}

/** Peak memory of a process, KiB. */
export function peakMemoryKiB(pid: number): number {
  return Number(/VmHWM:\s+(\d+)/.exec(readFileSync(`/proc/${pid}/status`, "utf8"))?.[1]);
}
