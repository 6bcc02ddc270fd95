import { existsSync, readFileSync } from "node:fs";
import { afterAll, beforeAll, expect, test } from "vitest";
import type { GuestAgent } from "../../../../provider/host/vm/guestAgent";
import {
  type AgentProcess,
  hasControlGroups,
  processesWith,
  shell,
  startAgent,
  uniqueSeconds,
  until,
} from "./agentProcess";

let process_: AgentProcess;
let agent: GuestAgent;
const env = { PATH: "/usr/bin:/bin" };

beforeAll(async () => {
  process_ = await startAgent();
  agent = await process_.connect();
});
afterAll(async () => {
  agent?.close();
  await process_?.stop();
});

test("a timeout ends a program that ignores TERM, with its children", async () => {
  const seconds = uniqueSeconds();
  const script = `trap '' TERM; sleep ${seconds} & sleep ${seconds}`;
  const result = await shell(agent, script, { timeoutMs: 200 });
  expect(result).toMatchObject({ exitCode: null, signal: "SIGKILL", timedOut: true });
  await until(() => processesWith(seconds).length === 0);
});

test("a timeout ends daemons that left the program's session", async (context) => {
  if (!hasControlGroups(process_)) return context.skip("this machine allows no control groups");
  const seconds = uniqueSeconds();
  const script = `(setsid sh -c "trap '' TERM; setsid sleep ${seconds} & sleep ${seconds}" >/dev/null 2>&1 &) ; sleep ${seconds}`;
  expect(await shell(agent, script, { timeoutMs: 300 })).toMatchObject({ timedOut: true });
  await until(() => processesWith(seconds).length === 0);
});

test("output before a timeout is kept", async () => {
  const result = await shell(agent, "echo before; sleep 97", { timeoutMs: 3000 });
  expect(result).toMatchObject({ stdout: "before\n", timedOut: true });
});

test("a grandchild that holds the output open does not hold up the call, and lives on", async () => {
  const seconds = uniqueSeconds();
  const result = await shell(agent, `sleep ${seconds} & echo done`);
  expect(result).toMatchObject({ stdout: "done\n", exitCode: 0 });
  // The call may end before the grandchild has become `sleep`.
  await until(() => processesWith(seconds).length > 0);
  process.kill(processesWith(seconds)[0]!, "SIGKILL");
  await until(() => processesWith(seconds).length === 0);
});

test("a grandchild that never stops writing does not hold up the call", async () => {
  const result = await shell(agent, "sh -c 'while :; do echo more; done' & echo $! >&2; exit 4");
  expect(result.exitCode).toBe(4);
  // Its output is closed now, which ends it as it would in any pipe.
  const writer = Number(result.stderr.split("\n")[0]);
  await until(() => !existsSync(`/proc/${writer}`));
});

test("a signal reaches the whole tree", async () => {
  const seconds = uniqueSeconds();
  const script = `sleep ${seconds} & trap 'echo term; exit 5' TERM; echo ready; wait; wait`;
  const program = await agent.exec({ argv: ["/bin/sh", "-c", script], env });
  program.stderr.resume();
  let seen = "";
  for await (const chunk of program.stdout) {
    seen += chunk;
    if (seen === "ready\n") program.kill("SIGTERM");
  }
  expect(seen).toBe("ready\nterm\n");
  expect(await program.exit).toMatchObject({ exitCode: 5, signal: null, timedOut: false });
  await until(() => processesWith(seconds).length === 0);
});

test("an unknown signal is refused", async () => {
  const program = await agent.exec({ argv: ["/bin/sleep", "97"], env });
  expect(() => program.kill("SIGNOTHING")).toThrow(/is not a signal/);
  program.kill("SIGKILL");
  program.stdout.resume();
  program.stderr.resume();
  expect(await program.exit).toMatchObject({ signal: "SIGKILL" });
});

test("an abort ends the tree and rejects with its reason", async () => {
  const seconds = uniqueSeconds();
  const abort = new AbortController();
  const argv = ["/bin/sh", "-c", `trap '' TERM; sleep ${seconds} & sleep ${seconds}`];
  const program = await agent.exec({ argv, env, signal: abort.signal });
  await until(() => processesWith(seconds).length >= 2);
  const reason = new Error("not needed any more");
  abort.abort(reason);
  await expect(program.exit).rejects.toBe(reason);
  await until(() => processesWith(seconds).length === 0);
  await agent.ping();
});

test("many short programs leave no zombies", async () => {
  await Promise.all(Array.from({ length: 40 }, () => shell(agent, "(true &) ; true")));
  await until(() => processesOf(process_.pid).length === 0);
});

/** Children of a process, dead ones included. */
function processesOf(pid: number): string[] {
  return readFileSync(`/proc/${pid}/task/${pid}/children`, "utf8").split(" ").filter(Boolean);
}
